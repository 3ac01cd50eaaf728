"""The tables of moves."""

from __future__ import annotations

from training.core.states import (
    ITERATION_MOVES,
    LIVE_MOVES,
    RUN_ACTIVE,
    RUN_ENDED,
    RUN_MOVES,
    IterationState,
    LiveState,
    RunState,
)


def test_every_state_has_its_moves() -> None:
    assert set(RUN_MOVES) == set(RunState)
    assert set(ITERATION_MOVES) == set(IterationState)
    assert set(LIVE_MOVES) == set(LiveState)


def test_a_run_is_active_or_ended() -> None:
    assert set(RunState) == RUN_ACTIVE | RUN_ENDED
    assert not RUN_ACTIVE & RUN_ENDED


def test_an_ended_run_moves_at_most_back_into_the_queue_and_a_success_stays() -> None:
    assert {state: set(RUN_MOVES[state]) for state in RUN_ENDED} == {
        RunState.SUCCEEDED: set(),
        RunState.FAILED: {RunState.QUEUED},
        RunState.ERRORED: {RunState.QUEUED},
        RunState.CANCELLED: {RunState.QUEUED},
    }


def test_a_lost_run_is_queued_again_and_a_cancelled_one_never_runs_on() -> None:
    assert RunState.QUEUED in RUN_MOVES[RunState.RUNNING]
    assert not RUN_MOVES[RunState.CANCELLING] & {RunState.QUEUED, RunState.RUNNING}


def test_a_cancel_of_a_running_run_is_a_request() -> None:
    assert RunState.CANCELLED not in RUN_MOVES[RunState.RUNNING]
    assert RunState.CANCELLED in RUN_MOVES[RunState.QUEUED]


def test_an_iteration_passes_every_state_once_in_order() -> None:
    order = list(IterationState)
    assert {state: set(moves) for state, moves in ITERATION_MOVES.items()} == {
        state: set(order[k + 1 : k + 2]) for k, state in enumerate(order)
    }


def test_an_answered_or_dropped_prompt_stays_and_every_other_can_be_asked_again() -> None:
    final = {state for state, moves in LIVE_MOVES.items() if not moves}
    assert final == {LiveState.ANSWERED, LiveState.DROPPED}
    assert all(LiveState.ASKING in moves for state, moves in LIVE_MOVES.items() if state not in final)
