"""Fixtures that every app's tests share. Ada and Ben annotate, Rosa researches, Otto is an outsider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from annotation.models import Batch, Comparison, Role, User
from tests.factories import make_batch, make_comparisons, make_user

# No deadline: a law that holds slowly on a busy machine still holds.
hypothesis_settings.register_profile("margin", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("margin")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", action="store_true", help="run only what touches the database, and the loop"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, so that workers end together; on a second database only what touches one."""
    if config.getoption("--database"):
        touched = {"db", "transactional_db"}
        kept = [
            i
            for i in items
            if touched & set(getattr(i, "fixturenames", ()))
            or i.get_closest_marker("loop")
            or i.get_closest_marker("crowd")
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    items.sort(key=lambda item: not item.get_closest_marker("process"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Settings) -> Path:
    """Every test has a house of its own."""
    place = tmp_path / "home"
    place.mkdir()
    settings.MARGIN_HOME = place
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher"
    ]  # quick, for accounts of tests
    return place


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keys of the runs that were announced to the broker, which tests do not have."""
    sent: list[int] = []
    monkeypatch.setattr("training.services.runs.announce", sent.append)
    return sent


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada")


@pytest.fixture
def ben(db: None) -> User:
    return make_user("ben")


@pytest.fixture
def rosa(db: None) -> User:
    return make_user("rosa", role=Role.RESEARCHER, is_staff=True)


@pytest.fixture
def rhea(db: None) -> User:
    """Reviews what Ada and Ben disagree on."""
    return make_user("rhea", role=Role.REVIEWER)


@pytest.fixture
def rolf(db: None) -> User:
    """Another reviewer."""
    return make_user("rolf", role=Role.REVIEWER)


@pytest.fixture
def otto(db: None) -> User:
    """Has an account and no role in anything."""
    return make_user("otto", is_active=False)


@pytest.fixture
def week(db: None) -> Batch:
    """An open batch without comparisons."""
    return make_batch()


@pytest.fixture
def pairs(week: Batch) -> Callable[..., list[Comparison]]:
    """Adds comparisons to the open batch."""

    return lambda count=1, **options: make_comparisons(week, count, **options)


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """A browser signed in as somebody."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in
