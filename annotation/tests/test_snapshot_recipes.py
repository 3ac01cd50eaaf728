"""What a recipe takes and leaves, further formats, differences and withdrawals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from annotation.core.aggregate import AggregationRule
from annotation.core.exports.base import line_of
from annotation.core.exports.judgments import FORMAT, JudgmentRecord, utc_text
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.recipe import Recipe
from annotation.core.records import PreferenceRecord
from annotation.core.states import SnapshotState
from annotation.errors import ConflictError, InvalidRecipeError, WithdrawnError
from annotation.models import Batch, Comparison, Judgment, Prompt, Snapshot, User, WebhookDelivery
from annotation.services import snapshot_rows
from annotation.services.batches import seal_batch
from annotation.services.snapshots import (
    add_formats,
    create_snapshot,
    request_snapshot,
    retry_snapshot,
    sweep_snapshots,
    tend_snapshot,
    withdraw_rows,
)
from annotation.snapshots import changes_between, local_folder, native_lines, rows_touched, summary_of
from tests.factories import make_batch, make_comparisons, make_judgment

Pairs = Callable[..., list[Comparison]]


def written(recipe: Recipe, **options: Any) -> Snapshot:
    tend_snapshot(pk=request_snapshot(recipe=recipe, **options).pk)
    snapshot = Snapshot.objects.latest("pk")
    assert snapshot.state == SnapshotState.READY, snapshot.error
    return snapshot


def records_of(snapshot: Snapshot) -> list[PreferenceRecord]:
    lines = [line for split in ("train", "test") for line in native_lines(snapshot, split)]
    return [PreferenceRecord.from_line(line.decode()) for line in lines]


@pytest.fixture
def two_weeks(ada: User, ben: User) -> list[Batch]:
    """Week 1: three helpfulness pairs that both judge alike. Week 2: a pair they differ on, and a safety pair."""
    first = make_batch(overlap=2)
    make_comparisons(first, 3)
    for person in (ada, ben):
        for _ in range(3):
            make_judgment(person)
    seal_batch(batch=first)
    second = make_batch(overlap=2)
    make_comparisons(second, 1)
    make_comparisons(second, 1, focus=Focus.SAFETY)
    for person, choice in ((ada, Choice.A), (ben, Choice.B)):
        for _ in range(2):
            make_judgment(person, choice=choice if person is ben else Choice.A)
    seal_batch(batch=second)
    Prompt.objects.filter(focus=Focus.SAFETY).update(risk="illicit", language="de")
    Comparison.objects.filter(focus=Focus.SAFETY).update(language="de")
    return [first, second]


def test_all_weeks_or_some_or_all_up_to_one(two_weeks: list[Batch]) -> None:
    each = {"aggregation": AggregationRule.EACH}
    rows = [
        written(Recipe(**each)).rows,
        written(Recipe(**each, batches=(1,))).rows,
        written(Recipe(**each, batches=(2,))).rows,
    ]
    assert rows == [10, 6, 4]
    assert request_snapshot(recipe=Recipe(**each, up_to=1)).rows == 6
    assert request_snapshot(recipe=Recipe(**each, up_to=9)).rows == 10


@pytest.mark.parametrize(
    ("recipe", "rows", "left_out"),
    [
        (Recipe(), 3, {"left out: people disagree": 2}),
        (Recipe(focuses=(Focus.SAFETY,), aggregation=AggregationRule.EACH), 2, {}),
        (Recipe(languages=("de",), aggregation=AggregationRule.EACH), 2, {}),
        (Recipe(categories=("illicit",), aggregation=AggregationRule.EACH), 2, {}),
        (Recipe(min_judgments=3), 0, {"left out: people disagree": 2, "left out: too few judgments": 3}),
        (Recipe(without_annotators=("annotator-ben",)), 5, {}),
        (Recipe(aggregation=AggregationRule.DAWID_SKENE, min_agreement=0.999), 0, None),
    ],
)
def test_a_recipe_takes_what_it_says_and_counts_what_it_leaves_out(
    two_weeks: list[Batch], recipe: Recipe, rows: int, left_out: dict[str, int] | None
) -> None:
    snapshot = written(recipe)
    assert (snapshot.rows, len(records_of(snapshot))) == (rows, rows)
    found = {name: count for name, count in snapshot.counts.items() if name.startswith("left out")}
    assert left_out is None or found == left_out


def test_rows_stand_by_week_and_key_and_pages_do_not_matter(
    two_weeks: list[Batch], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    recipe = Recipe(aggregation=AggregationRule.EACH)
    snapshot = written(recipe)
    rows = [(row.batch, row.id) for row in records_of(snapshot) if row.split == "train"]
    assert rows == sorted(rows)
    before = (local_folder(snapshot) / "data/train.jsonl").read_bytes()
    Snapshot.objects.all().delete()
    monkeypatch.setattr(snapshot_rows, "PAGE", 1)
    again = written(recipe)
    assert (again.sha256, (local_folder(again) / "data/train.jsonl").read_bytes()) == (
        snapshot.sha256,
        before,
    )


def test_own_margins_stand_beside_the_rows(two_weeks: list[Batch]) -> None:
    margins = dict(zip(Grade, (4.0, 2.5, 1.0, 0.0), strict=True))
    (margin,) = {row.margin for row in records_of(written(Recipe(margin_table="own", margins=margins)))}
    assert margin == 2.5


def test_the_same_recipe_is_written_once_and_gets_further_formats(two_weeks: list[Batch]) -> None:
    one = written(Recipe(batches=(1,)))
    again = request_snapshot(recipe=Recipe(up_to=1), formats=["trl-sft"])
    assert (again.pk, again.formats) == (one.pk, ["trl-sft"])
    tend_snapshot(pk=one.pk)
    assert one.files.filter(format="trl-sft", split="train").get().rows == 3
    other = request_snapshot(recipe=Recipe(batches=(2,)))
    assert (one.name, other.name) == ("Week 1 small", "Week 2 small")
    assert request_snapshot(recipe=Recipe(batches=(1,), min_judgments=2)).name == "Week 1 small 2"


def test_what_is_not_there_is_refused_by_name(two_weeks: list[Batch]) -> None:
    for recipe, says in (
        (Recipe(batches=(1, 7)), "no week 7"),
        (Recipe(without_annotators=("annotator-nobody",)), "annotator-nobody"),
        (Recipe(without_prompts=("0" * 32,)), "0" * 32),
    ):
        with pytest.raises(InvalidRecipeError, match=says):
            request_snapshot(recipe=recipe)
    with pytest.raises(InvalidRecipeError, match="There are native, trl-preference"):
        request_snapshot(recipe=Recipe(), formats=["csv"])
    written(Recipe(), name="release")
    with pytest.raises(ConflictError, match="Choose another name"):
        request_snapshot(recipe=Recipe(batches=(1,)), name="release")
    assert Snapshot.objects.count() == 1


def test_raw_judgments_are_what_the_record_says(two_weeks: list[Batch], ada: User) -> None:
    snapshot = written(Recipe(batches=(1,)), formats=["judgments"])
    lines = (local_folder(snapshot) / "formats/judgments/train.jsonl").read_text().splitlines()
    said = sorted(
        Judgment.objects.filter(comparison__batch__number=1), key=lambda j: (j.comparison.key, str(j.uid))
    )
    assert lines == [line_of(next(iter(FORMAT.rows(_record(one))))).rstrip("\n") for one in said]
    assert {json.loads(line)["annotator"] for line in lines} == {"annotator-ada", "annotator-ben"}


def _record(one: Judgment) -> JudgmentRecord:
    pair = one.comparison
    return JudgmentRecord(
        uid=str(one.uid),
        comparison=pair.key,
        prompt=pair.dialogue.prompt.key,
        dialogue=pair.dialogue.key,
        batch=pair.batch.name,
        split="train",
        focus=Focus(pair.focus),
        annotator=one.annotator.pseudonym,
        time=utc_text(one.created_at),
        choice=Choice(one.choice),
        grade=Grade(one.grade),
        safety=None,
        left=Choice(one.left) if one.left else None,
        active_ms=one.active_ms,
        guideline=str(one.guideline or ""),
        source=one.source,
        comment=one.comment,
        messages=tuple(pair.dialogue.messages),
        response_a=pair.response_a.text,
        response_b=pair.response_b.text,
        policy_a=pair.response_a.policy,
        policy_b=pair.response_b.policy,
    )


def test_a_format_that_breaks_is_given_up_and_the_others_are_written(
    two_weeks: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = written(Recipe(batches=(1,)))

    def breaks(*_: object) -> None:
        raise KeyError("x")

    add_formats(snapshot=snapshot, formats=["judgments", "trl-sft"], by=None)
    monkeypatch.setattr("annotation.services.snapshot_formats.judgment_lines", breaks)
    tend_snapshot(pk=snapshot.pk)
    snapshot.refresh_from_db()
    assert (snapshot.formats, snapshot.claim) == (["trl-sft"], None)
    assert "format judgments could not be written" in snapshot.error
    assert snapshot.files.filter(format="trl-sft").exists()


def test_without_a_person_there_is_a_new_version_and_the_old_refuses(
    two_weeks: list[Batch], ben: User, rosa: User
) -> None:
    old = written(Recipe(batches=(2,)), formats=["trl-sft"])
    assert rows_touched(old, annotators=[ben.pseudonym], prompts=[]) == {"judgments": 2, "pairs": 2}
    new = withdraw_rows(snapshot=old, annotators=[ben.pseudonym], reason="Asked to be left out.", by=rosa)
    with pytest.raises(WithdrawnError, match=f"Use version 2 in its place, snapshot {new.pk}"):
        local_folder(Snapshot.objects.get(pk=old.pk))
    tend_snapshot(pk=new.pk)
    new.refresh_from_db()
    old.refresh_from_db()
    assert (old.state, new.state, new.version, new.rows, old.rows) == ("withdrawn", "ready", 2, 2, 0)
    manifest = json.loads((local_folder(new) / "manifest.json").read_text())
    assert manifest["parent"] == {"sha256": old.sha256, "version": 1}
    assert manifest["reason"] == "Asked to be left out."
    assert new.files.filter(format="trl-sft").exists()
    with pytest.raises(WithdrawnError):
        withdraw_rows(snapshot=old, annotators=[ben.pseudonym], reason="x", by=rosa)
    with pytest.raises(WithdrawnError):
        add_formats(snapshot=old, formats=["trl-sft"], by=rosa)
    with pytest.raises(WithdrawnError):
        request_snapshot(recipe=Recipe(batches=(2,)))
    with pytest.raises(ConflictError, match="leaves all of them out already"):
        withdraw_rows(snapshot=new, annotators=[ben.pseudonym], reason="x", by=rosa)


def test_without_a_prompt_its_rows_are_gone(two_weeks: list[Batch], rosa: User) -> None:
    old = written(Recipe(batches=(1,)))
    prompt = records_of(old)[0].prompt
    new = withdraw_rows(snapshot=old, prompts=[prompt], reason="Names a person.", by=rosa)
    tend_snapshot(pk=new.pk)
    new.refresh_from_db()
    assert {row.prompt for row in records_of(new)} == {row.prompt for row in records_of(new)} - {prompt}
    found = summary_of(changes_between(Snapshot.objects.get(pk=old.pk), new))
    assert (found.added, found.changed, found.dropped) == (0, 0, 1)


def test_differences_name_rows_that_are_new_differ_or_are_gone(two_weeks: list[Batch]) -> None:
    one = written(Recipe(batches=(1,)))
    both = written(Recipe(without_annotators=("annotator-ben",)))
    found = summary_of(changes_between(one, both))
    assert (found.added, found.changed, found.dropped) == (2, 3, 0)
    assert {change.fields for change in found.first["changed"]} == {("judgments",)}
    back = summary_of(changes_between(both, one))
    assert (back.added, back.changed, back.dropped) == (0, 3, 2)
    assert not list(changes_between(one, one))


def test_a_snapshot_of_one_file_can_still_be_read_and_compared(two_weeks: list[Batch], home: Path) -> None:
    new = written(Recipe())
    lines = sorted((row.to_line() for row in records_of(new)), reverse=True)
    folder = home / "snapshots/old"
    folder.mkdir()
    (folder / "data.jsonl").write_text("".join(lines))
    old = Snapshot.objects.create(name="old", sha256="0" * 64, rows=3, path="old", state="ready")
    old.batches.set(two_weeks)
    old.files.create(path="data.jsonl", format="native", media_type="x", bytes=1, sha256="0" * 64)
    assert not list(changes_between(old, new))


def test_what_failed_can_be_tried_again(two_weeks: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("annotation.services.snapshot_manifest.describe", lambda *_: 1 / 0)
        snapshot = request_snapshot(recipe=Recipe())
        tend_snapshot(pk=snapshot.pk)
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.path) == ("failed", "")
    assert "Something broke" in snapshot.error
    with pytest.raises(ConflictError):
        add_formats(snapshot=snapshot, formats=["trl-sft"], by=None)
    tend_snapshot(pk=retry_snapshot(snapshot=snapshot, by=None).pk)
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.error) == ("ready", "")


def test_whoever_falls_silent_loses_the_row_and_after_some_times_it_is_given_up(
    two_weeks: list[Batch], settings: Settings
) -> None:
    snapshot = request_snapshot(recipe=Recipe())
    long_ago = timezone.now() - timedelta(seconds=settings.SNAPSHOT_SILENCE + 1)
    silent = {"state": "writing", "claim": "0" * 32, "beat_at": long_ago}
    Snapshot.objects.update(**silent, attempt=1, created_at=long_ago)
    assert sweep_snapshots() == {"silent": 1, "announced": 1}
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.claim) == ("waiting", None)
    Snapshot.objects.update(**silent, attempt=5)
    assert sweep_snapshots()["silent"] == 1
    snapshot.refresh_from_db()
    assert snapshot.state == "failed"
    assert "5 times" in snapshot.error


def test_a_writer_that_lost_its_claim_leaves_nothing(
    two_weeks: list[Batch], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    from annotation.services import snapshot_manifest  # noqa: PLC0415

    snapshot = request_snapshot(recipe=Recipe())
    describe = snapshot_manifest.describe

    def taken_over(*given: Any) -> Any:
        Snapshot.objects.update(claim="0" * 32)
        return describe(*given)

    monkeypatch.setattr(snapshot_manifest, "describe", taken_over)
    tend_snapshot(pk=snapshot.pk)
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.path, snapshot.files.count()) == ("writing", "", 0)
    assert not list((home / "snapshots").iterdir())


def test_webhooks_are_told_what_became_of_it(two_weeks: list[Batch], rosa: User) -> None:
    from annotation.models import Webhook  # noqa: PLC0415

    Webhook.objects.create(url="https://example.org/hook", name="x", secret="whsec_x", created_by=rosa)
    snapshot = written(Recipe(batches=(1,)))
    withdraw_rows(snapshot=snapshot, annotators=["annotator-ben"], reason="Asked.", by=rosa)
    events = list(WebhookDelivery.objects.order_by("pk").values_list("event", flat=True))
    assert events == ["snapshot.ready", "snapshot.withdrawn"]
    assert json.loads(WebhookDelivery.objects.first().body)["data"]["id"] == snapshot.pk  # type: ignore[union-attr]


def test_questions_grow_with_pages_and_not_with_rows(
    two_weeks: list[Batch], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    snapshot = request_snapshot(recipe=Recipe())
    with django_assert_max_num_queries(40):
        tend_snapshot(pk=snapshot.pk)


def test_the_card_is_what_the_hub_reads_and_says_the_counts(two_weeks: list[Batch]) -> None:
    import yaml  # noqa: PLC0415

    snapshot = written(Recipe(), name="Rosa's: [first] #1")
    folder = local_folder(snapshot)
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["pretty_name"] == "Rosa's: [first] #1"
    assert card["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert (card["language"], card["size_categories"]) == (["de"], ["n<1K"])
    assert "\\[first\\] \\#1" in text
    assert (folder / "plots/grade.svg").read_text().startswith("<svg")
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = {file.path: file for file in snapshot.files.all()}
    for path, facts in manifest["files"].items():
        assert (rows[path].sha256, rows[path].bytes) == (facts["sha256"], facts["bytes"])
    assert set(rows) == {*manifest["files"], "manifest.json"}
    assert create_snapshot(batches=two_weeks) == snapshot
