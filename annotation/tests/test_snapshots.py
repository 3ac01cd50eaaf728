"""Freezing sealed judgments into a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps

from annotation.core.aggregate import AggregationRule
from annotation.core.grades import Choice, Focus, Grade, MarginTable, SafetyLabel
from annotation.core.recipe import Recipe
from annotation.core.records import PreferenceRecord
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Judgment, Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.judgments import retract_judgment
from annotation.services.snapshots import create_snapshot, request_snapshot, write_snapshot
from tests.factories import make_batch, make_comparisons, make_judgment

Pairs = Callable[..., list[Comparison]]


def lines_of(home: Path, snapshot: Snapshot) -> list[PreferenceRecord]:
    data = home / "snapshots" / snapshot.path / "data"
    text = (data / "train.jsonl").read_text() + (data / "test.jsonl").read_text()
    return [PreferenceRecord.from_line(line) for line in text.split("\n") if line]


def test_a_row_says_who_won_by_how_much_and_with_which_margin(
    home: Path, week: Batch, ada: User, pairs: Pairs
) -> None:
    (comparison,) = pairs(1, policy="policy-x")
    make_judgment(ada, choice=Choice.B, grade=Grade.BETTER)
    seal_batch(batch=week)
    (row,) = lines_of(home, create_snapshot(batches=[week]))
    assert (row.chosen, row.rejected) == (comparison.response_b.text, comparison.response_a.text)
    assert (row.grade, row.margin, row.weight) == (Grade.BETTER, 2 / 3, 1.0)
    assert (row.split, row.focus, row.chosen_policy) == ("train", Focus.HELPFULNESS, "policy-x")


def test_the_same_batches_give_the_same_bytes_and_one_row(
    home: Path, week: Batch, ada: User, pairs: Pairs
) -> None:
    pairs(3)
    for _ in range(3):
        make_judgment(ada)
    seal_batch(batch=week)
    first, second = create_snapshot(batches=[week]), create_snapshot(batches=[week])
    assert first == second


def test_the_manifest_counts_what_the_file_holds(home: Path, week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(1)
    pairs(1, focus=Focus.SAFETY)
    make_judgment(ada)
    make_judgment(ada, safety=SafetyLabel.BOTH_UNSAFE)
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week], margin_table=MarginTable.LARGE)
    manifest = json.loads((home / "snapshots" / snapshot.path / "manifest.json").read_text())
    assert manifest["rows"] == 2
    assert manifest["counts"]["focus: safety"] == 1
    assert manifest["counts"]["safety: both_unsafe"] == 1
    assert manifest["margin_table"] == "large"


def test_an_open_batch_cannot_be_frozen(week: Batch) -> None:
    with pytest.raises(ConflictError, match="Seal Week 1 first"):
        create_snapshot(batches=[week])


def test_a_judgment_taken_back_is_not_in_the_snapshot(week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(1)
    retract_judgment(annotator=ada, uid=make_judgment(ada).uid)
    seal_batch(batch=week)
    assert create_snapshot(batches=[week]).rows == 0


def test_people_who_disagree_evenly_leave_no_row_and_are_counted(
    ada: User, ben: User, week: Batch, pairs: Pairs
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    pairs(1)
    make_judgment(ada, choice=Choice.A)
    make_judgment(ben, choice=Choice.B)
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week])
    assert (snapshot.rows, snapshot.counts["left out: people disagree"]) == (0, 1)


def test_no_name_of_a_person_is_in_the_files(home: Path, week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(1)
    make_judgment(ada)
    seal_batch(batch=week)
    folder = home / "snapshots" / create_snapshot(batches=[week]).path
    assert not any(
        name.encode() in f.read_bytes()
        for f in folder.rglob("*.*")
        for name in (ada.username + '"', ada.pseudonym)
    )


def test_a_process_that_dies_while_writing_leaves_no_snapshot(
    home: Path, week: Batch, ada: User, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(1)
    make_judgment(ada)
    seal_batch(batch=week)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("annotation.services.snapshot_manifest.describe", die)
        create_snapshot(batches=[week])
    assert Snapshot.objects.get().state == SnapshotState.WAITING
    assert not list((home / "snapshots").iterdir())
    assert create_snapshot(batches=[week]).rows == 1


def three_say(pair: Comparison, people: list[User], choices: list[Choice]) -> None:
    for person, choice in zip(people, choices, strict=True):
        make_judgment(person, choice=choice)


def test_several_judgments_become_rows_as_the_rule_says(home: Path, ada: User, ben: User, rosa: User) -> None:
    week = make_batch(overlap=3)
    make_comparisons(week, 2)
    people = [ada, ben, rosa]
    pairs = list(week.comparisons.order_by("pk"))
    three_say(pairs[0], people, [Choice.A, Choice.A, Choice.B])
    three_say(pairs[1], people, [Choice.B, Choice.B, Choice.B])
    seal_batch(batch=week)
    of_rule = {
        rule: lines_of(home, create_snapshot(batches=[week], aggregation=rule)) for rule in AggregationRule
    }
    assert len(of_rule[AggregationRule.MAJORITY]) == 2
    each = of_rule[AggregationRule.EACH]
    assert [row.judgments for row in each] == [1] * 6
    assert len({row.id for row in each}) == 6
    likelier = {row.id: row.weight for row in of_rule[AggregationRule.DAWID_SKENE]}
    assert likelier[pairs[1].key] > likelier[pairs[0].key] > 0.5


def test_the_manifest_names_the_rule_and_its_version(
    home: Path, week: Batch, ada: User, pairs: Pairs
) -> None:
    pairs(1)
    make_judgment(ada)
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week], aggregation=AggregationRule.EACH)
    manifest = json.loads((home / "snapshots" / snapshot.path / "manifest.json").read_text())
    assert manifest["aggregation"] == snapshot.aggregation == "each/1"


def test_a_reviewers_label_counts_where_the_rule_says_so(
    home: Path, ada: User, ben: User, rosa: User
) -> None:
    week = make_batch(overlap=2)
    (pair,) = make_comparisons(week, 1)
    three_say(pair, [ada, ben], [Choice.A, Choice.B])
    Judgment.objects.create(
        comparison=pair,
        annotator=rosa,
        focus=pair.focus,
        choice=Choice.B,
        grade=Grade.SLIGHTLY_BETTER,
        source=Judgment.Source.REVIEW,
    )
    seal_batch(batch=week)
    assert create_snapshot(batches=[week]).rows == 0
    (row,) = lines_of(home, create_snapshot(batches=[week], aggregation=AggregationRule.ADJUDICATED))
    assert (row.chosen, row.grade) == (pair.response_b.text, Grade.SLIGHTLY_BETTER)


def test_snapshots_of_before_are_carried_over_with_their_file(home: Path, week: Batch) -> None:
    """The step of the migration that changes rows, on rows as they were."""
    folder = home / "snapshots/old"
    folder.mkdir(parents=True)
    (folder / "data.jsonl").write_text("{}\n")
    (folder / "manifest.json").write_text("{}")
    here, gone = (
        Snapshot.objects.create(name=name, sha256=digit * 64, rows=1, path=f"snapshots/{name}")
        for name, digit in (("old", "1"), ("gone", "2"))
    )
    import_module("annotation.migrations.0004_data_for_everybody").carry_over(apps, None)
    here.refresh_from_db()
    gone.refresh_from_db()
    assert [(row.state, row.path, row.written_at) for row in (here, gone)] == [
        ("ready", "old", here.created_at),
        ("ready", "gone", gone.created_at),
    ]
    files = {file.path: (file.format, file.rows, file.bytes) for file in here.files.all()}
    assert files == {"data.jsonl": ("native", 1, 3), "manifest.json": ("", None, 2)}
    assert here.files.get(path="data.jsonl").sha256 == here.sha256
    assert not gone.files.exists()


def test_people_outside_of_the_recipe_are_not_counted(home: Path, ada: User, ben: User) -> None:
    week = make_batch(overlap=2)
    make_comparisons(week, 1, focus=Focus.SAFETY)
    (between,) = make_comparisons(week, 1)
    make_comparisons(week, 1, focus=Focus.SAFETY)
    for _ in range(3):
        make_judgment(ada)
    Judgment.objects.create(
        comparison=between, annotator=ben, focus=between.focus, choice=Choice.A, grade=Grade.BETTER
    )
    seal_batch(batch=week)
    recipe = Recipe(focuses=(Focus.SAFETY,))
    snapshot = write_snapshot(snapshot=request_snapshot(recipe=recipe))
    manifest = json.loads((home / "snapshots" / snapshot.path / "manifest.json").read_text())
    assert (snapshot.rows, manifest["annotators"]) == (2, 1)
