"""Records: typed where this version knows a field, and patient with a server that is newer or says less."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from margin_client.types import Snapshot, Token

DATA = {
    "id": 1,
    "name": "Week 1",
    "created_at": "2026-01-31T12:00:00Z",
    "files": [{"path": "a", "sha256": "0"}],
}


def test_times_and_objects_inside_are_made_of_the_json() -> None:
    snapshot = Snapshot.of(DATA)
    assert snapshot.created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert snapshot.files[0].path == "a"


def test_a_field_of_a_newer_server_is_kept() -> None:
    snapshot = Snapshot.of({**DATA, "colour": "blue"})
    assert snapshot.extra == {"colour": "blue"}
    assert snapshot.as_dict()["colour"] == "blue"


def test_a_field_that_was_left_out_says_so_instead_of_seeming_empty() -> None:
    with pytest.raises(AttributeError, match=r"has no 'rows'.*fields="):
        _ = Snapshot.of(DATA).rows


def test_a_field_that_nobody_knows_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no 'colour'"):
        _ = Snapshot.of(DATA).colour  # type: ignore[attr-defined]


def test_nothing_stays_nothing() -> None:
    assert Token.of({"expires_at": None}).expires_at is None


def test_records_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Snapshot.of(DATA).name = "other"  # type: ignore[misc]


def test_two_are_equal_when_the_same_was_said_of_them() -> None:
    assert Snapshot.of(DATA) == Snapshot.of(dict(DATA))
    assert len({Snapshot.of(DATA), Snapshot.of(dict(DATA)), Snapshot.of({**DATA, "id": 2})}) == 2


def test_a_record_shows_what_it_holds() -> None:
    assert repr(Snapshot.of({"id": 1, "name": "x" * 100})).startswith("Snapshot(id=1, name='xxx")
