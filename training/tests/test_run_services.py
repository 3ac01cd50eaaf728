"""The life of a run's row: of two that want it one wins, and nothing that is lost stays lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from annotation.errors import IllegalMoveError
from annotation.models import User
from tests.factories import make_policy
from training.core.events import Event
from training.core.spec import RunKind
from training.core.states import RunState
from training.errors import ClaimLostError, InvalidSpecError
from training.models import Run
from training.services import runs

pytestmark = pytest.mark.django_db

Capture = DjangoCaptureOnCommitCallbacks
LATE = timedelta(seconds=31)  # RUN_SILENCE is 30


def queued(**options: Any) -> Run:
    return runs.queue_run(
        kind=RunKind.IMPORT_POLICY, params={"source": "tiny"}, inputs={"name": "V0"}, **options
    )


def claimed(run: Run | None = None) -> Run:
    held = runs.claim_run(pk=(run or queued()).pk)
    assert held is not None
    return held


def ended(state: RunState) -> Run:
    return runs.end_run(run=claimed(), state=state, message="That is why.")


def states(run: Run) -> list[str]:
    return [event.data["state"] for event in run.events.filter(type="state")]


def say(kind: str, at: str = "2026-03-01T12:00:00+00:00", **data: Any) -> Event:
    return Event(at=at, type=kind, data=data)


def beat(run: Run, *events: Event) -> RunState:
    return runs.beat_run(run=run, events=events, events_read=10)


def test_a_run_is_announced_once_its_row_is_in(
    announced: list[int], django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        run = queued()
    assert announced == []
    for call in callbacks:
        call()
    assert announced == [run.pk]


def test_defaults_are_filled_in_so_that_a_later_default_changes_no_run() -> None:
    assert queued().params == {"source": "tiny", "template": "model"}


def test_wrong_parameters_queue_nothing_and_name_each_field() -> None:
    with pytest.raises(InvalidSpecError) as caught:
        runs.queue_run(kind=RunKind.FINETUNE, params={"epochs": 0, "epoch": 1}, inputs={})
    assert [e["field"] for e in caught.value.errors] == ["epochs", "epoch"]
    assert not Run.objects.exists()


def test_a_keyed_run_is_started_once(
    announced: list[int], django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        first = queued(key="V1/import")
        second = queued(key="V1/import")
    assert first == second
    assert announced == [first.pk]


def test_of_two_claims_one_wins() -> None:
    run = queued()
    assert runs.claim_run(pk=run.pk) is not None
    assert runs.claim_run(pk=run.pk) is None


def test_a_second_message_for_an_ended_run_claims_nothing() -> None:
    assert runs.claim_run(pk=ended(RunState.SUCCEEDED).pk) is None


def test_a_message_for_a_run_that_never_was_claims_nothing() -> None:
    assert runs.claim_run(pk=404) is None


def test_a_claim_counts_an_attempt_and_beats() -> None:
    run = claimed()
    assert (run.state, run.attempt, run.heartbeat_at) == (RunState.RUNNING, 1, run.started_at)


def test_a_beat_stores_stage_progress_and_events() -> None:
    run = claimed()
    assert (
        beat(
            run,
            say("stage", name="train"),
            say("progress", done=3, total=8, unit="pairs"),
            say("metric", name="loss", value=0.5, step=1),
        )
        == RunState.RUNNING
    )
    assert (run.stage, run.done, run.total, run.unit, run.percent) == ("train", 3, 8, "pairs", 38)
    assert list(run.events.exclude(type="state").values_list("type", flat=True)) == ["stage", "metric"]


def test_a_new_stage_begins_at_nothing() -> None:
    run = claimed()
    beat(run, say("progress", done=8, total=8, unit="pairs"), say("stage", name="evaluate"))
    assert (run.done, run.total, run.unit, run.percent) == (0, 0, "", None)


def test_whoever_lost_the_claim_can_neither_beat_nor_end_nor_release() -> None:
    old = claimed()
    runs.release_run(run=Run.objects.get(pk=old.pk), reason="Silent.")
    claimed(old)
    with pytest.raises(ClaimLostError):
        beat(old, say("note", text="late"))
    with pytest.raises(ClaimLostError):
        runs.end_run(run=old, state=RunState.SUCCEEDED, result={"late": 1})
    with pytest.raises(ClaimLostError):
        runs.release_run(run=old, reason="late")
    run = Run.objects.get(pk=old.pk)
    assert (run.state, run.result, run.attempt) == (RunState.RUNNING, {}, 2)
    assert not run.events.filter(type="note").exists()


def test_an_end_and_what_it_registers_happen_together() -> None:
    run = claimed()
    made: list[str] = []
    runs.end_run(
        run=run, state=RunState.SUCCEEDED, result={"pairs": 3}, register=lambda: made.append("policy")
    )
    assert made == ["policy"]
    assert (run.state, run.result, run.claim) == (RunState.SUCCEEDED, {"pairs": 3}, None)
    assert states(run) == ["queued", "running", "succeeded"]


def test_a_registration_that_fails_leaves_the_run_running_and_its_holder_free_to_end_it() -> None:
    run = claimed()

    def register() -> None:
        make_policy("V0")
        make_policy("V0")

    with pytest.raises(IntegrityError):
        runs.end_run(run=run, state=RunState.SUCCEEDED, register=register)
    assert Run.objects.get(pk=run.pk).state == RunState.RUNNING
    assert states(run) == ["queued", "running"]
    runs.end_run(run=run, state=RunState.FAILED, message="The name is taken.")
    assert Run.objects.get(pk=run.pk).state == RunState.FAILED


def test_work_that_was_done_before_the_cancel_arrived_is_kept() -> None:
    run = claimed()
    runs.cancel_run(run=Run.objects.get(pk=run.pk))
    assert runs.end_run(run=run, state=RunState.SUCCEEDED).state == RunState.SUCCEEDED


def test_an_ended_run_does_not_end_again() -> None:
    run = ended(RunState.FAILED)
    with pytest.raises(ClaimLostError):
        runs.end_run(run=run, state=RunState.SUCCEEDED)


def test_a_lost_run_goes_back_to_the_queue_and_is_announced(
    announced: list[int], django_capture_on_commit_callbacks: Capture
) -> None:
    run = claimed()
    with django_capture_on_commit_callbacks(execute=True):
        runs.release_run(run=run, reason="Killed.")
    assert (run.state, run.claim, run.message) == (RunState.QUEUED, None, "Killed.")
    assert announced == [run.pk]


def test_a_run_that_is_lost_too_often_is_given_up(settings: Any) -> None:
    settings.RUN_ATTEMPTS = 2
    run = queued()
    for _ in range(2):
        runs.release_run(run=claimed(run), reason="Killed.")
    run.refresh_from_db()
    assert run.state == RunState.ERRORED
    assert run.message == "Lost 2 times and given up; the last time: Killed."


def test_a_run_outlives_any_number_of_deployments(settings: Any) -> None:
    settings.RUN_ATTEMPTS = 2
    run = queued()
    for _ in range(5):
        runs.release_run(run=claimed(run), reason="The worker shut down.", lost=False)
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.QUEUED, 0)


def test_a_run_that_is_lost_while_it_is_cancelled_is_cancelled() -> None:
    run = claimed()
    runs.cancel_run(run=Run.objects.get(pk=run.pk))
    assert runs.release_run(run=run, reason="Killed.").state == RunState.CANCELLED


def heard_long_ago(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - LATE)


def test_a_silent_run_is_swept_back_and_its_old_launcher_stores_nothing() -> None:
    run = claimed()
    heard_long_ago(run)
    assert runs.sweep_runs() == {"silent": 1, "announced": 0}
    with pytest.raises(ClaimLostError):
        beat(run)
    run.refresh_from_db()
    assert (run.state, run.message) == (RunState.QUEUED, "The worker that ran it stopped without a word.")


def test_a_run_that_beats_is_left_alone() -> None:
    claimed()
    assert runs.sweep_runs() == {"silent": 0, "announced": 0}


def test_a_launcher_that_is_heard_while_the_sweeper_looks_keeps_its_run() -> None:
    run = claimed()
    heard_long_ago(run)
    seen_by_sweeper = Run.objects.get(pk=run.pk)
    beat(run)
    with pytest.raises(ClaimLostError):
        runs.release_run(run=seen_by_sweeper, reason="Silent.")
    assert beat(run) == RunState.RUNNING


def test_a_silent_run_that_somebody_cancelled_is_cancelled() -> None:
    run = claimed()
    runs.cancel_run(run=run)
    heard_long_ago(run)
    runs.sweep_runs()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_a_forgotten_run_is_announced_again_and_then_has_its_time(announced: list[int]) -> None:
    run = queued()
    assert runs.sweep_runs()["announced"] == 0
    Run.objects.filter(pk=run.pk).update(announced_at=timezone.now() - LATE)
    assert runs.sweep_runs()["announced"] == 1
    assert runs.sweep_runs()["announced"] == 0
    assert announced == [run.pk]


def test_a_queued_run_is_cancelled_at_once(rosa: User) -> None:
    run = runs.cancel_run(run=queued(), by=rosa)
    assert (run.state, run.message) == (RunState.CANCELLED, "Cancelled before it started.")
    assert run.events.last().data == {"state": "cancelled", "by": rosa.pk}  # type: ignore[union-attr]
    assert runs.claim_run(pk=run.pk) is None


def test_a_running_run_is_asked_to_stop_and_asking_twice_is_asking_once() -> None:
    run = claimed()
    for _ in range(2):
        runs.cancel_run(run=run)
    assert run.state == RunState.CANCELLING
    assert states(run) == ["queued", "running", "cancelling"]


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED, RunState.ERRORED])
def test_an_ended_run_has_nothing_to_cancel(state: RunState) -> None:
    with pytest.raises(IllegalMoveError, match="nothing to cancel"):
        runs.cancel_run(run=ended(state))


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.ERRORED])
def test_a_run_without_success_is_queued_again(
    state: RunState, announced: list[int], django_capture_on_commit_callbacks: Capture
) -> None:
    run = ended(state)
    with django_capture_on_commit_callbacks(execute=True):
        runs.retry_run(run=run)
    assert (run.state, run.attempt, run.message, run.ended_at) == (RunState.QUEUED, 0, "", None)
    assert announced == [run.pk]
    # Its clock starts anew: the night between failure and retry is no working time.
    assert run.started_at is None


def test_a_success_is_not_repeated() -> None:
    with pytest.raises(IllegalMoveError, match="is succeeded"):
        runs.retry_run(run=ended(RunState.SUCCEEDED))
