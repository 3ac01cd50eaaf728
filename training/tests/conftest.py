"""Fixtures of this app's tests: a model that is built in a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from annotation.models import Batch, User
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.tiny import build_tiny
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
