"""Fixtures of the tests that are about people who disagree."""

from __future__ import annotations

import pytest

from annotation.models import Batch, Comparison, User
from annotation.tests.disputes import BETTER, SLIGHTLY, A, B, make_dispute
from tests.factories import make_batch


@pytest.fixture
def two(db: None) -> Batch:
    """An open week in which two people judge each pair."""
    return make_batch(overlap=2)


@pytest.fixture
def pair(two: Batch, ada: User, ben: User) -> Comparison:
    """Ada finds A better, Ben B."""
    return make_dispute(two, {ada: (A, BETTER), ben: (B, SLIGHTLY)})
