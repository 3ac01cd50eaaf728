"""A batch's pairs scored by a run: what it reads, what it keeps, and the order of the queue behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.core.grades import Focus
from annotation.core.states import ComparisonState
from annotation.errors import ConflictError
from annotation.models import Batch, Comparison, Snapshot, User
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, open_batch, seal_batch
from annotation.tests.checks import make_checks
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.models import PairScore, RewardModelVersion
from tests.factories import make_comparisons, make_judgment, make_policy
from training.core import score
from training.core.disagreement import Rewards, rank_of_pair
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile, RunKind
from training.core.states import RunState
from training.errors import NotReadyError
from training.models import Run
from training.services import kinds, runs
from training.services.start import start_score_pairs

pytestmark = pytest.mark.django_db

H, S = Focus


@pytest.fixture
def models(home: Path) -> dict[Focus, RewardModelVersion]:
    """One of each focus, whose folders hold nothing."""
    snapshot = Snapshot.objects.create(name="s", sha256="0" * 64, rows=1, path="snapshots/s")
    make_policy("V0")
    for path in ("runs/V0", *(f"runs/{focus}" for focus in Focus)):
        (home / path).mkdir(parents=True)
    return {
        focus: RewardModelVersion.objects.create(
            name=f"{focus}-1",
            focus=focus,
            recipe="probe",
            snapshot=snapshot,
            backbone="V0",
            path=f"runs/{focus}",
            sha256="0" * 64,
            run=f"made-{focus}",
        )
        for focus in Focus
    }


Models = dict[Focus, RewardModelVersion]


def started(batch: Batch, models: Models, **params: Any) -> Run:
    return start_score_pairs(batch=batch, helpfulness=models.get(H), safety=models.get(S), params=params)


def prepared(run: Run) -> list[dict[str, Any]]:
    """The pairs that the run's process would read."""
    kinds.write_spec(run)
    return [json.loads(line) for line in (run.folder / "pairs.jsonl").read_text().splitlines()]


def end(run: Run, scores: dict[Focus, dict[Comparison, tuple[float, float]]]) -> None:
    """As its launcher would, with scores made up."""
    held = runs.claim_run(pk=run.pk)
    assert held is not None
    data = {
        focus: {pair.key: Rewards(*own) for pair, own in pairs.items()} for focus, pairs in scores.items()
    }
    outcome = kinds.Outcome({}, data)
    runs.end_run(run=held, state=RunState.SUCCEEDED, register=lambda: kinds.register(held, outcome))


def queue(person: User, count: int) -> list[int]:
    return [pair.pk for pair in lease_next(annotator=person, count=count)]


def test_a_run_reads_the_pairs_in_the_order_in_which_they_came(week: Batch, models: Models) -> None:
    pair, other = make_comparisons(week, 2)
    lines = prepared(started(week, models))
    assert [line["comparison"] for line in lines] == [pair.key, other.key]
    assert lines[0] == {
        "comparison": pair.key,
        "focus": "helpfulness",
        "messages": pair.dialogue.messages,
        "a": pair.response_a.text,
        "b": pair.response_b.text,
    }


def test_checks_and_pairs_that_were_taken_out_are_not_scored(week: Batch, rosa: User, models: Models) -> None:
    pair, out = make_comparisons(week, 2)
    Comparison.objects.filter(pk=out.pk).update(state=ComparisonState.WITHDRAWN)
    make_checks(1, rosa)  # waits in every open week
    assert week.comparisons.count() == 3
    assert [line["comparison"] for line in prepared(started(week, models))] == [pair.key]


def test_one_model_alone_is_asked_about_its_own_focus(week: Batch, models: Models) -> None:
    helpful, safe = (*make_comparisons(week, 1), *make_comparisons(week, 1, focus=S))
    run = started(week, {S: models[S]})
    assert [line["comparison"] for line in prepared(run)] == [safe.key]
    assert run.inputs == {"batch": week.pk, "safety": models[S].pk}
    assert [line["comparison"] for line in prepared(started(week, models))] == [helpful.key, safe.key]


def test_scores_are_kept_with_the_model_that_gave_them(week: Batch, models: Models) -> None:
    (pair,) = make_comparisons(week, 1)
    end(started(week, models), {H: {pair: (0.5, 2.0)}, S: {pair: (1.0, -1.0)}})
    rows = PairScore.objects.order_by("pk").values_list("version", "reward_a", "reward_b", "apart", "batch")
    assert list(rows) == [
        (models[H].pk, 0.5, 2.0, 1.5, week.pk),
        (models[S].pk, 1.0, -1.0, 2.0, week.pk),
    ]


def test_a_second_run_replaces_what_the_same_model_said(week: Batch, models: Models) -> None:
    (pair,) = make_comparisons(week, 1)
    for rewards in ((0.0, 1.0), (3.0, 1.0)):
        end(started(week, {H: models[H]}), {H: {pair: rewards}})
    assert list(PairScore.objects.values_list("reward_a", "reward_b", "apart")) == [(3.0, 1.0, 2.0)]


def test_what_the_models_doubt_is_given_first(week: Batch, ada: User, models: Models) -> None:
    sure, doubted, at_odds = make_comparisons(week, 3)
    end(
        started(week, models),
        {
            H: {sure: (5.0, 0.0), doubted: (1.0, 1.1), at_odds: (5.0, 0.0)},
            S: {sure: (5.0, 0.0), doubted: (1.0, 1.0), at_odds: (0.0, 5.0)},
        },
    )
    assert queue(ada, 3) == [at_odds.pk, doubted.pk, sure.pk]


def test_a_planned_batch_is_ordered_before_it_opens(ada: User, models: Models) -> None:
    batch = create_batch()
    sure, doubted = make_comparisons(batch, 2)
    end(started(batch, {H: models[H]}), {H: {sure: (5.0, 0.0), doubted: (0.0, 0.0)}})
    open_batch(batch=batch)
    assert queue(ada, 2) == [doubted.pk, sure.pk]


def test_the_order_stays_where_nobody_wants_another(week: Batch, ada: User, models: Models) -> None:
    sure, doubted = make_comparisons(week, 2)
    end(started(week, {H: models[H]}, reorder=False), {H: {sure: (5.0, 0.0), doubted: (0.0, 0.0)}})
    assert queue(ada, 2) == [sure.pk, doubted.pk]


def test_a_batch_that_was_sealed_meanwhile_keeps_its_scores_and_its_order(
    week: Batch, ada: User, models: Models
) -> None:
    (pair,) = make_comparisons(week, 1)
    make_judgment(ada)
    run = started(week, {H: models[H]})
    seal_batch(batch=week)
    place = Comparison.objects.get().place
    end(run, {H: {pair: (5.0, 0.0)}})
    assert PairScore.objects.count() == 1
    assert Comparison.objects.get().place == place


def test_a_sealed_batch_is_scored_too(week: Batch, ada: User, models: Models) -> None:
    make_comparisons(week, 1)
    make_judgment(ada)
    seal_batch(batch=week)
    assert len(prepared(started(week, models))) == 1


def test_without_a_model_nothing_can_score(week: Batch) -> None:
    make_comparisons(week, 1)
    with pytest.raises(NotReadyError, match="Choose a reward model"):
        started(week, {})


def test_without_pairs_there_is_nothing_to_score(week: Batch, models: Models) -> None:
    make_comparisons(week, 1)
    with pytest.raises(NotReadyError, match="has no pairs of safety"):
        started(week, {S: models[S]})


def test_a_model_of_the_other_focus_is_refused(week: Batch, models: Models) -> None:
    make_comparisons(week, 1)
    with pytest.raises(ConflictError, match="is a safety model"):
        started(week, {H: models[S]})


def test_pairs_are_scored_by_trained_models_and_given_in_the_order_of_their_doubt(
    week: Batch,
    ada: User,
    models: Models,
    tiny: PolicyRef,
    reward_models: dict[Focus, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_comparisons(week, 5)
    RewardModelVersion.objects.update(path="")
    for focus, version in models.items():
        RewardModelVersion.objects.filter(pk=version.pk).update(path=str(reward_models[focus]))
    make_policy("tiny", path=str(tiny.path))
    RewardModelVersion.objects.update(backbone="tiny")
    run = runs.claim_run(pk=started(week, models).pk)
    assert run is not None
    file = RunFile.model_validate_json(kinds.write_spec(run).read_bytes())
    with EventWriter(run.folder / "events.jsonl") as events:
        job = Job(file, run.folder, events)
        job.finish(score.run(job))
    outcome = kinds.collect(run)
    runs.end_run(
        run=run,
        state=RunState.SUCCEEDED,
        result=outcome.result,
        register=lambda: kinds.register(run, outcome),
    )
    assert run.result["pairs"] == 5
    said: dict[int, list[Rewards]] = {}
    for row in PairScore.objects.order_by("comparison"):
        said.setdefault(row.comparison_id, []).append(Rewards(row.reward_a, row.reward_b))
    assert [len(own) for own in said.values()] == [2] * 5
    assert queue(ada, 5) == sorted(said, key=lambda pk: (rank_of_pair(said[pk]), pk))


def page(client: Client, name: str, *arguments: object) -> str:
    return client.get(reverse(f"admin:{name}", args=arguments)).content.decode()


def test_rosa_starts_scoring_from_the_batch(
    as_user: Callable[[User], Client], rosa: User, week: Batch, models: Models
) -> None:
    make_comparisons(week, 1)
    client = as_user(rosa)
    place = reverse("admin:training_run_start_kind", args=("score_pairs",)) + f"?batch={week.pk}"
    assert f'href="{place}">Score pairs…' in page(client, "annotation_batch_change", week.pk)
    form = client.get(place).context["form"]
    assert [form[name].value() for name in ("batch", "helpfulness", "safety")] == [
        str(week.pk),
        models[H].pk,
        models[S].pk,
    ]
    sent = {"batch": week.pk, "helpfulness": models[H].pk, "safety": "", "tokens_per_batch": 4096}
    client.post(place, {**sent, "reorder": "on"})
    run = Run.objects.get()
    assert run.inputs == {"batch": week.pk, "helpfulness": models[H].pk}
    assert run.params == {"tokens_per_batch": 4096, "reorder": True}
    again = client.get(f"{place}&from={run.pk}").context["form"]
    assert again["safety"].value() is None
    assert "helpfulness-1" in page(client, "training_run_change", run.pk)


def test_without_a_reward_model_no_batch_offers_it(
    as_user: Callable[[User], Client], rosa: User, week: Batch
) -> None:
    client = as_user(rosa)
    assert "Score pairs" not in page(client, "annotation_batch_change", week.pk)
    assert "There is no reward model yet" in page(client, "training_run_start_kind", RunKind.SCORE_PAIRS)
