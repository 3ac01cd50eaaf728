"""What a computation reports reaches the stream, and not too often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rewardmodel.core.report import Reporter, RunCancelledError
from training.core.events import Event, EventWriter, read_events
from training.core.job import Job
from training.core.spec import RunFile
from training.tests import toy


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with EventWriter(tmp_path / "events.jsonl") as events:
        yield Job(RunFile.model_validate(toy.spec()), tmp_path, events)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("training.core.job.time.monotonic", lambda: now[0])
    return now


def _told(job: Job, kind: str) -> list[Event]:
    return [event for event in read_events(job.out / "events.jsonl")[0] if event.type == kind]


def test_a_job_is_a_reporter(job: Job) -> None:
    reporter: Reporter = job
    reporter.note("hello")
    assert [event.data for event in _told(job, "note")] == [{"text": "hello"}]


def test_progress_is_told_five_times_a_second_and_the_last_of_a_stage_always(
    job: Job, clock: list[float]
) -> None:
    # One call every 0.1 s for a second: told at 0.0, 0.2, ... 0.8, and the tenth, held back, with the stage.
    for done in range(1, 11):
        job.progress(done, 10, "pairs")
        clock[0] += 0.1001
    job.stage("next")
    assert [event.data["done"] for event in _told(job, "progress")] == [1, 3, 5, 7, 9, 10]


def test_progress_that_was_told_is_not_told_again(job: Job) -> None:
    job.progress(1, 1, "pairs")
    job.stage("next")
    job.finish({})
    assert len(_told(job, "progress")) == 1


def test_a_check_raises_only_after_somebody_asked(job: Job) -> None:
    job.check()
    job.cancel()
    with pytest.raises(RunCancelledError):
        job.check()


def test_a_result_is_canonical_json_and_then_the_stream_says_finished(job: Job) -> None:
    job.finish({"b": 1, "a": [0.5]})
    assert (job.out / "result.json").read_text() == '{"a":[0.5],"b":1}\n'
    assert len(_told(job, "finished")) == 1


def test_a_result_that_is_not_finite_is_refused(job: Job) -> None:
    with pytest.raises(ValueError, match="JSON"):
        job.finish({"metrics": {"loss": float("nan")}})
    assert not (job.out / "result.json").exists()


def test_publishing_replaces_what_a_killed_attempt_had_published(job: Job) -> None:
    for content in ("first", "second"):
        staged = job.work / "staged"
        staged.mkdir()
        (staged / f"{content}.txt").write_text(content)
        job.publish(staged)
    assert [path.name for path in job.output.iterdir()] == ["second.txt"]


def test_a_metric_of_numpy_is_a_number(job: Job) -> None:
    job.metric("loss", np.float64(0.5), 3)
    assert _told(job, "metric")[0].data == {"name": "loss", "value": 0.5, "step": 3}
    assert json.loads((job.out / "events.jsonl").read_text().splitlines()[0])["step"] == 3
