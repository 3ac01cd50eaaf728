"""Freezing sealed judgments into a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from annotation.core.aggregate import AggregationRule
from annotation.core.grades import Choice, Focus, Grade, MarginTable, SafetyLabel
from annotation.core.records import PreferenceRecord
from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Judgment, Snapshot, User
from annotation.services import snapshots
from annotation.services.batches import seal_batch
from annotation.services.judgments import retract_judgment
from annotation.services.snapshots import create_snapshot
from tests.factories import make_batch, make_comparisons, make_judgment

Pairs = Callable[..., list[Comparison]]


def lines_of(home: Path, snapshot: Snapshot) -> list[PreferenceRecord]:
    text = (home / snapshot.path / "data.jsonl").read_text()
    return [PreferenceRecord.from_line(line) for line in text.splitlines()]


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
    data = (home / first.path / "data.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest() == first.sha256


def test_the_manifest_counts_what_the_file_holds(home: Path, week: Batch, ada: User, pairs: Pairs) -> None:
    pairs(1)
    pairs(1, focus=Focus.SAFETY)
    make_judgment(ada)
    make_judgment(ada, safety=SafetyLabel.BOTH_UNSAFE)
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week], margin_table=MarginTable.LARGE)
    manifest = json.loads((home / snapshot.path / "manifest.json").read_text())
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
    folder = home / create_snapshot(batches=[week]).path
    assert not any(
        name in f.read_text() for f in folder.iterdir() for name in (ada.username + '"', ada.pseudonym)
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
        patch.setattr(snapshots, "_manifest", die)
        create_snapshot(batches=[week])
    assert not Snapshot.objects.exists()
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
    manifest = json.loads((home / snapshot.path / "manifest.json").read_text())
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
