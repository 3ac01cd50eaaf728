"""How policies are named to a run's process."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from rewardmodel.core.backbone import PolicyRef
from tests.factories import make_policy
from training.core import server_generator
from training.services.references import SERVER_KEYS, policy_reference, served_name, write_server_keys

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> Path:
    settings.MARGIN_HOME = tmp_path
    return tmp_path


def test_a_policy_with_a_server_names_it(home: Path) -> None:
    policy = make_policy(endpoint="http://127.0.0.1:8001")
    (home / policy.path).mkdir(parents=True)
    ref = PolicyRef.from_json(policy_reference(policy))
    assert (ref.endpoint, ref.endpoint_model) == ("http://127.0.0.1:8001", served_name(policy))
    policy.endpoint_model = "tiny-chat"
    assert policy_reference(policy)["endpoint_model"] == "tiny-chat"


def test_a_policy_without_a_server_is_named_as_ever(home: Path) -> None:
    policy = make_policy()
    (home / policy.path).mkdir(parents=True)
    assert policy_reference(policy).keys() == {"name", "path", "base"}


def test_keys_reach_the_run_and_nobody_else(home: Path, settings: Settings) -> None:
    settings.RESPONSE_SERVER_KEYS = {"llm.example": "rosas-key"}
    for _attempt in range(2):
        write_server_keys(home)
    assert server_generator.read_keys(home) == {"llm.example": "rosas-key"}
    assert stat.S_IMODE((home / SERVER_KEYS).stat().st_mode) == 0o600
    assert "rosas-key" not in json.dumps([path.name for path in home.iterdir()])
    settings.RESPONSE_SERVER_KEYS = {}
    write_server_keys(home)
    assert not (home / SERVER_KEYS).exists()
