"""`run_iteration` on a tiny model: real processes, killed and doubled, and every step done once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.house import House, build_house, kill_each_once

pytestmark = [pytest.mark.process, pytest.mark.loop]

JUDGE = (
    "from annotation.services import people; from annotation.services.simulation import simulate_annotators;"
    "simulate_annotators(annotators=[people.ensure_simulated(n) for n in ('ada', 'ben')], seed=4)"
)
MODELS = ("training.Run", "training.PolicyVersion", "annotation.Snapshot", "annotation.Batch")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with V1 complete and the pairs of V2 judged."""
    with build_house(tmp_path_factory.mktemp("iteration")) as house:
        house.manage("run_loop", "--model", "tiny", "--seed", "3")
        house.run(JUDGE)
        yield house


def test_killed_and_started_twice_at_once_it_does_every_step_once(house: House) -> None:
    before = house.counts(*MODELS)
    first = house.start("run_iteration", "V2", "--seal")
    _kill_at(first, "train_reward_model")
    both = [house.start("run_iteration", "V2", *more) for more in ((), ("--no-worker",))]
    for one in both:
        output = one.communicate(timeout=400)[0]
        assert one.returncode == 0, output
    after = house.counts(*MODELS)
    assert {name: after[name] - before[name] for name in MODELS} == {
        "training.Run": 5,  # two reward models, selection, fine-tuning, sampling
        "training.PolicyVersion": 1,
        "annotation.Snapshot": 1,
        "annotation.Batch": 1,
    }


def test_a_fork_with_nothing_changed_ends_at_once(house: House) -> None:
    """Runs behind the test before, on what it made."""
    house.run(
        "from training.models import Iteration; from training.services.iterations import fork_iteration;"
        "fork_iteration(iteration=Iteration.objects.get(number=2), at='snapshot')"
    )
    before = house.counts("training.Run")
    answer = house.manage("run_iteration", "V4", "--no-worker", "--json")
    told = json.loads(answer.stdout)
    assert (told["state"], told["tuned"]) == ("fed_back", "policy-V2")
    assert house.counts("training.Run") == before


def _kill_at(command: subprocess.Popen[str], kind: str) -> None:
    """kill -9 the command when a run of this kind has begun; its worker notices and ends."""

    def pick(process: psutil.Process) -> str | None:
        line = process.cmdline()
        if "training.core.cli" not in line:
            return None
        spec = Path(line[line.index("--spec") + 1])
        if json.loads(spec.read_text())["kind"] != kind:
            return None
        command.kill()
        return kind

    assert kill_each_once(command, pick) == [kind]
