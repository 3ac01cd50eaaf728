"""Fixtures of this app's tests: models that are built in a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client

from annotation.core.grades import Focus
from annotation.models import Batch, User
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import Silent
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.tiny import build_tiny
from rewardmodel.core.train import train
from rewardmodel.tests.examples import make_record, write_snapshot
from tests.factories import make_policy
from training.models import PolicyVersion
from training.tests.chat_server import ChatServer, Script


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PolicyRef:
    """A random two-layer policy; never write into its directory."""
    directory = tmp_path_factory.mktemp("policy") / "tiny"
    build_tiny(directory)
    return PolicyRef(name="tiny", path=directory, base=None)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer({"": Script("An answer by {seed}.")}) as running:
        yield running


@pytest.fixture
def policies(db: None, server: ChatServer) -> list[PolicyVersion]:
    """The newest last; the third has no server."""
    return [
        make_policy("V0-older", endpoint=server.address, endpoint_model="older-model"),
        make_policy("V1-newer", endpoint=server.address, endpoint_model="newer-model"),
        make_policy("V2-mute"),
    ]


@pytest.fixture
def writer(
    as_user: Callable[[User], Client], ada: User, week: Batch, policies: list[PolicyVersion]
) -> Client:
    """Ada's browser, in an open week with two policies that answer."""
    return as_user(ada)


@pytest.fixture(scope="session")
def reward_models(tiny: PolicyRef, tmp_path_factory: pytest.TempPathFactory) -> dict[Focus, Path]:
    """The folder of a small trained model for each focus, on `tiny`; never write into them."""
    root = tmp_path_factory.mktemp("reward-models")
    made = {}
    for focus in Focus:
        records = [make_record(number, focus=focus) for number in range(12)]
        snapshot = write_snapshot(root / f"{focus}-snapshot", records)
        made[focus] = root / focus / "output"
        (root / focus / "work").mkdir(parents=True)
        train(
            spec=TrainRewardModelSpec(focus=focus, max_length=256),
            inputs={"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": str(focus)},
            seed=0,
            device="cpu",
            code_version="test",
            work=root / focus / "work",
            output=made[focus],
            report=Silent(),
        )
    return made
