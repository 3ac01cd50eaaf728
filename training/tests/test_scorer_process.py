"""A real scorer, a real web server and a real run: the same rewards whichever way, whoever is killed."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from annotation.core.grades import Focus
from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.scorer import load
from tests.house import ROOT, House, answers, build_house, free_port, kill_server

pytestmark = pytest.mark.process

SET_UP = """
from annotation.core.scopes import Scope
from annotation.models import Role, Snapshot, User
from annotation.services.tokens import make_token
from rewardmodel.models import RewardModelVersion
from training.models import PolicyVersion
rosa = User.objects.create_user(username="rosa", role=Role.RESEARCHER, pseudonym="rosa")
PolicyVersion.objects.create(name="tiny", path={tiny!r}, sha256="0" * 64, run="a")
RewardModelVersion.objects.create(
    name="helpful", focus="helpfulness", recipe="probe", backbone="tiny", path={model!r}, sha256="0" * 64, run="b",
    snapshot=Snapshot.objects.create(name="s", sha256="0" * 64, path="s"),
)
print(make_token(user=rosa, name="t", scopes=list(Scope))[1])
"""
LAUNCH = """
from training.launchers import local
from training.models import Run
from training.services import runs
local.launch(runs.claim_run(pk=Run.objects.get(uid="{uid}").pk))
"""
ASKED: list[Message] = [{"role": "user", "content": "What is a prime number?"}]
ANSWERS = ["A number with two divisors.", "No.", "", "No idea, " * 40]


class Site:
    """A house with a web server and a person who has a token."""

    def __init__(self, house: House, token: str, port: int) -> None:
        self.house = house
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    def score(self, via: str, responses: list[str] | None = None) -> httpx.Response:
        items = [{"messages": ASKED, "responses": responses or ANSWERS}]
        return self.client.post(f"/reward-models/1/score?via={via}", json={"items": items})

    @property
    def resident(self) -> bool:
        found: bool = self.client.get("/reward-models/1").json()["resident"]
        return found


@pytest.fixture(scope="module")
def site(
    tiny: PolicyRef, reward_models: dict[Focus, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with build_house(tmp_path_factory.mktemp("scorer")) as house:
        model = str(reward_models[Focus.HELPFULNESS])
        token = house.run(SET_UP.format(tiny=str(tiny.path), model=model)).strip()
        server = house.serve(port := free_port())
        try:
            assert answers(port)
            made = Site(house, token, port)
            yield made
            made.client.close()
        finally:
            kill_server(server)


@contextlib.contextmanager
def scorer(site: Site) -> Iterator[subprocess.Popen[str]]:
    process = site.house.start("scorer", "--reward-model", "helpful", "--device", "cpu")
    try:
        assert process.stdout is not None
        said = [
            *itertools.takewhile(
                lambda line: "helpful answers at http://127.0.0.1:" not in line, process.stdout
            )
        ]
        assert process.poll() is None, said
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def wanted(tiny: PolicyRef, reward_models: dict[Focus, Path]) -> list[float]:
    path = str(reward_models[Focus.HELPFULNESS])
    reference = {"name": "helpful", "path": path, "backbone": tiny.to_json()}
    (rewards,) = load(reference, device="cpu").score([(ASKED, ANSWERS)])
    return rewards


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_scorer_answers_with_the_scores_of_the_model_until_it_is_stopped(
    site: Site, wanted: list[float]
) -> None:
    with scorer(site) as process:
        assert site.resident
        answer = site.score("resident")
        assert answer.status_code == 200, answer.text
        assert answer.json()["rewards"][0] == pytest.approx(wanted, abs=1e-5)
        with ThreadPoolExecutor(8) as threads:
            for one in threads.map(site.score, ["auto"] * 16):
                # In one pass with others the order of additions differs, which the fitted head magnifies.
                assert one.json()["rewards"][0] == pytest.approx(wanted, abs=3e-5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not site.resident
    assert site.score("resident").status_code == 503


def test_a_scorer_that_is_killed_in_the_middle_breaks_no_answer(site: Site) -> None:
    many = [f"{n} is prime, {'as is well known, ' * 400}" for n in range(256)]
    with scorer(site) as process, ThreadPoolExecutor(2) as threads:
        (model,) = psutil.Process(process.pid).children()
        asked = [threads.submit(site.score, via, many) for via in ("resident", "auto")]
        time.sleep(1)
        assert not any(one.done() for one in asked)
        model.kill()
        resident, auto = (one.result() for one in asked)
        assert (resident.status_code, resident.json()["code"]) == (503, "scorer-unavailable")
        assert (auto.status_code, auto.json()["via"]) == (202, "run")
        assert process.wait(30) == 1  # a supervisor starts it again
        assert "ended with exit code -9" in (process.stdout.read() if process.stdout else "")
    assert not site.resident


def test_a_run_gives_the_same_rewards_and_its_events_end(site: Site, wanted: list[float]) -> None:
    answer = site.score("run")
    assert answer.status_code == 202
    place = answer.headers["Location"].removeprefix("/api/v1")
    with ThreadPoolExecutor(1) as threads:
        launched = threads.submit(site.house.run, LAUNCH.format(uid=answer.json()["run"]))
        with site.client.stream("GET", f"{place}/events") as events:
            assert events.headers["content-type"] == "text/event-stream"
            lines = [line for line in events.iter_lines() if line.startswith(("event", "data"))]
        launched.result()
    assert lines[-2] == "event: end"
    assert json.loads(lines[-1].removeprefix("data: "))["state"] == "succeeded"
    assert "event: stage" in lines
    (rewards,) = site.client.get(place).json()["result"]["rewards"]
    assert rewards == pytest.approx(wanted, abs=1e-5)


def test_a_scorer_that_is_tied_ends_with_whoever_started_it(site: Site) -> None:
    command = f"{sys.executable} manage.py scorer --reward-model helpful --device cpu --tied & wait"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=ROOT, env=site.house.environment, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdout is not None
    assert any("answers at" in line for line in shell.stdout)
    below = psutil.Process(shell.pid).children(recursive=True)
    assert len(below) == 2
    shell.kill()
    shell.wait()
    until(lambda: not any(child.is_running() and child.status() != "zombie" for child in below))
    assert not site.resident


def test_a_name_that_no_model_has_starts_nothing(site: Site) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        site.house.manage("scorer", "--reward-model", "helpfull")
    assert "There is no reward model named 'helpfull'." in caught.value.stderr
