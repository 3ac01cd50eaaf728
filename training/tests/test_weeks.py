"""Simulated weeks with runs whose ends are made up: the order of things, resumption, and what is measured."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from annotation.core.toy_world import Ask, utility
from annotation.models import Batch, Judgment, Prompt
from training.core import weeks
from training.core.recipe import PRESETS
from training.core.states import RunState
from training.models import Iteration, Run
from training.services.drive import LoopError
from training.services.weeks import Weeks, WeeksPlan
from training.tests.outcomes import succeed

pytestmark = pytest.mark.django_db


class Launches:
    """A watcher that ends whatever is queued while the weeks wait for it."""

    def stage(self, name: str) -> None: ...

    def progress(self, text: str, done: int, total: int) -> None: ...

    def finished(self, name: str, seconds: float, what: str) -> None: ...

    def tick(self) -> None:
        for run in Run.objects.filter(state=RunState.QUEUED):
            (run.folder / "output").mkdir(parents=True, exist_ok=True)
            succeed(run)


class Answers:
    """Stands for the process that lets a policy answer: later policies refuse, which pleases who asks for a deed."""

    def __init__(self) -> None:
        self.policies: list[str] = []

    def __call__(self, module: str, spec: dict[str, Any]) -> dict[str, Any]:
        assert module == "training.core.answer_file"
        self.policies.append(spec["policy"]["name"])
        said = "rose" if spec["policy"]["name"] == "V0" else "sorry i will not help"
        rows = [json.loads(line) for line in Path(spec["file"]).read_text().split("\n") if line]
        lines = [json.dumps({**row, "answers": [said] * spec["answers"]}) for row in rows]
        Path(spec["out"]).write_text("".join(line + "\n" for line in lines))
        return {}


def simulate(weeks: int = 2, *, changing: bool = False, ask: Answers | None = None) -> dict[str, Any]:
    plan = WeeksPlan(
        weeks=weeks, seed=0, recipe=PRESETS["rejection"], sample={"prompts": 4}, changing=changing
    )
    return Weeks(plan, Launches(), ask or Answers()).run()


def test_each_week_makes_a_policy_that_is_measured() -> None:
    ask = Answers()
    told = simulate(ask=ask)
    assert [policy["name"] for policy in told["policies"]] == ask.policies == ["V0", "policy-V1", "policy-V2"]
    assert [gain["certain"] for gain in told["gains"]] == [True, False]
    assert not told["rises"]


def test_the_weeks_judgments_are_made_by_simulated_annotators() -> None:
    told = simulate(weeks=1)
    assert told["judgments"] == Judgment.objects.count() > 0
    assert {judgment.source for judgment in Judgment.objects.all()} == {Judgment.Source.SIMULATED}


def test_the_next_week_is_opened_by_the_iteration_before() -> None:
    simulate(weeks=2)
    first, second = Iteration.objects.order_by("number")
    assert first.next_batch == second.batch
    assert second.policy == first.tuned


def test_weeks_that_are_started_again_do_nothing_twice() -> None:
    told = simulate()
    runs, ask = Run.objects.count(), Answers()
    again = simulate(ask=ask)
    assert (Run.objects.count(), ask.policies) == (runs, [])
    assert again["policies"] == told["policies"]


def test_further_weeks_go_on_where_the_last_ones_ended() -> None:
    before = simulate(weeks=1)
    after = simulate(weeks=2)
    assert after["policies"][:2] == before["policies"]
    assert Batch.objects.count() == 2


def test_changing_weeks_ask_for_other_kinds_of_answer() -> None:
    simulate(weeks=2, changing=True)
    assert set(Prompt.objects.filter(in_pool=True).values_list("category", flat=True)) == {
        Ask.VERSE,
        Ask.DEED,
    }


def test_no_held_out_request_is_in_the_pool() -> None:
    simulate(weeks=1)
    held_out = {request.text for request in weeks.held_out()}
    assert not Prompt.objects.filter(text__in=held_out).exists()


def test_the_weeks_keep_out_of_a_database_with_other_work(week: Batch) -> None:
    with pytest.raises(LoopError, match="holds other work"):
        simulate()


def test_a_policy_is_worth_the_mean_utility_of_its_answers() -> None:
    asked = weeks.held_out()
    worth = weeks.worth_of([["rose", request.thing] for request in asked])
    assert worth[0] == fmean([utility(asked[0].text, "rose"), utility(asked[0].text, asked[0].thing)])
    assert weeks.measured(worth)["utility"] == pytest.approx(fmean(worth))


def test_a_gain_is_certain_where_its_interval_lies_above_nothing() -> None:
    # Differences 1, 1, 1, 0: mean 0.75, deviation 0.5, so 0.75 - 1.96 * 0.5 / 2 = 0.26.
    found = weeks.gain([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    assert found["interval"][0] == pytest.approx(0.26)
    assert found["certain"]
    assert not weeks.gain([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])["certain"]
