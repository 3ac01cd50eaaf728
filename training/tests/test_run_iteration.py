"""`manage.py run_iteration`: the plan, what it refuses and with which exit code, and that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Batch, Comparison, User
from annotation.services.batches import seal_batch
from training.core.recipe import PRESETS
from training.models import Iteration, Run
from training.services import drive
from training.services.drive import LoopError
from training.services.iterations import pause_iteration
from training.tests.outcomes import fail
from training.tests.turns import begin, end_well

pytestmark = pytest.mark.django_db
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def iteration(week: Batch, ada: User, pairs: Pairs) -> Iteration:
    return begin(week, ada, pairs)


@pytest.fixture
def sealed(iteration: Iteration, monkeypatch: pytest.MonkeyPatch) -> Iteration:
    """V1 on a sealed week; whatever is waited for ends well."""
    seal_batch(batch=iteration.batch)
    monkeypatch.setattr(drive, "wait_for", lambda run, watcher: end_well(run))
    return iteration


def run(*arguments: str) -> None:
    call_command("run_iteration", *arguments, "--no-worker")


def refused(*arguments: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    return caught.value.returncode, str(caught.value)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def test_it_drives_an_iteration_to_its_end(sealed: Iteration, capsys: pytest.CaptureFixture[str]) -> None:
    run("V1", "--json")
    told = printed(capsys)
    assert (told["iteration"], told["state"], told["tuned"], told["next_batch"]) == (
        "V1",
        "fed_back",
        "policy-V1",
        2,
    )
    assert {step["fate"] for step in told["steps"]} == {"done"}


def test_it_stops_behind_a_step_and_goes_on_when_it_is_started_again(sealed: Iteration) -> None:
    run("V1", "--until", "train_reward_model")
    sealed.refresh_from_db()
    assert sealed.state == "rewarded"
    run("V1")
    sealed.refresh_from_db()
    assert sealed.state == "fed_back"
    assert Run.objects.filter(iteration=sealed).count() == 5


def test_a_complete_iteration_is_left_as_it_is(sealed: Iteration) -> None:
    run("V1")
    before = Run.objects.count()
    run("V1")
    assert Run.objects.count() == before


def test_a_dry_run_prints_the_plan_and_begins_nothing(
    week: Batch, ada: User, pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    iteration = begin(week, ada, pairs)
    iteration.delete()
    run("--batch", "1", "--policy", "V0", "--recipe", "full", "--dry-run", "--json")
    told = printed(capsys)
    assert [step["name"] for step in told["steps"]][-3:] == ["finetune", "ppo", "sample"]
    assert {step["fate"] for step in told["steps"]} == {"new"}
    assert not Iteration.objects.exists()


def test_it_begins_an_iteration_from_a_recipe_in_a_file(
    sealed: Iteration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.delete()
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(PRESETS["rejection"].with_params({"sample": {"prompts": 2}}).to_json()))
    run("--batch", "1", "--policy", "V0", "--recipe", str(file), "--seed", "7", "--until", "snapshot")
    begun = Iteration.objects.get()
    assert (begun.seed, begun.state, begun.base.name) == (7, "snapshot", "V0")
    assert begun.steps.get(name="sample").params == {"prompts": 2}
    assert "V1 stands before train_reward_model/helpfulness." in capsys.readouterr().out


def test_the_batchs_own_iteration_is_gone_on_with(sealed: Iteration) -> None:
    run("--batch", "1")
    sealed.refresh_from_db()
    assert sealed.state == "fed_back"


def test_people_who_still_judge_are_not_cut_off(iteration: Iteration) -> None:
    code, words = refused("V1")
    assert (code, "3 of 3 pairs are complete. Seal it" in words) == (3, True)
    iteration.batch.refresh_from_db()
    assert iteration.batch.state == "open"
    run("V1", "--seal", "--until", "seal")
    iteration.batch.refresh_from_db()
    assert iteration.batch.state == "sealed"


def test_a_run_that_fails_ends_it_and_the_next_start_tries_it_again(
    sealed: Iteration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlucky(run: Run, watcher: object) -> None:
        fail(run)
        raise LoopError(f"{run.kind} failed: No pairs.")

    monkeypatch.setattr(drive, "wait_for", unlucky)
    assert refused("V1") == (1, "train_reward_model failed: No pairs.")
    monkeypatch.setattr(drive, "wait_for", lambda run, watcher: end_well(run))
    run("V1")
    assert Run.objects.filter(iteration=sealed).count() == 5


def test_a_paused_iteration_says_so(sealed: Iteration, monkeypatch: pytest.MonkeyPatch) -> None:
    def paused_meanwhile(run: Run, watcher: object) -> None:
        pause_iteration(iteration=sealed, cancel=True)
        raise LoopError("cancelled")

    monkeypatch.setattr(drive, "wait_for", paused_meanwhile)
    assert refused("V1")[0] == 4
    assert refused("V1") == (4, "V1 is paused. Resume it to go on.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name an iteration, such as V3"),
        (("V9",), "no iteration V9"),
        (("three",), "no iteration three"),
        (("--batch", "9"), "no week number 9"),
        (("V1", "--until", "dance"), "no step 'dance': choose from seal, snapshot"),
    ],
)
def test_what_is_not_there_is_named(sealed: Iteration, arguments: tuple[str, ...], words: str) -> None:
    code, said = refused(*arguments)
    assert (code, words in said) == (1, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no preset (rejection, rejection+ppo, full) and no file"),
        ("{", "not JSON"),
        ("{}", "no recipe"),
    ],
)
def test_a_recipe_that_is_none_is_refused(
    sealed: Iteration, tmp_path: Path, text: str | None, words: str
) -> None:
    sealed.delete()
    file = tmp_path / "recipe.json"
    if text is not None:
        file.write_text(text)
    code, said = refused("--batch", "1", "--policy", "V0", "--recipe", str(file))
    assert (code, words in said) == (1, True)
    assert not Iteration.objects.exists()
