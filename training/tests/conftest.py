"""Fixtures of this app's tests: a model that is built in a moment."""

from __future__ import annotations

import pytest

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.tiny import build_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PolicyRef:
    """A random two-layer policy; never write into its directory."""
    directory = tmp_path_factory.mktemp("policy") / "tiny"
    build_tiny(directory)
    return PolicyRef(name="tiny", path=directory, base=None)
