"""Reading ahead over a connection of its own, where there is a server and no transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from annotation.core.recipe import Recipe
from annotation.core.states import SnapshotState
from annotation.models import Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.snapshot_rows import ahead
from annotation.services.snapshots import create_snapshot, request_snapshot, write_snapshot
from tests.factories import make_batch, make_comparisons, make_judgment, make_user


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "snapshot reader"]


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_written_outside_of_a_transaction_holds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.services.snapshots._announce", lambda pk: None)
    ada: User = make_user("ada")
    week = make_batch()
    make_comparisons(week, 30)
    for _ in range(30):
        make_judgment(ada)
    seal_batch(batch=week)
    monkeypatch.setattr("annotation.services.snapshot_rows.PAGE", 7)
    first = write_snapshot(snapshot=request_snapshot(recipe=Recipe()))
    assert (first.state, first.rows, readers()) == (SnapshotState.READY, 30, [])
    Snapshot.objects.all().delete()
    monkeypatch.setattr("annotation.services.snapshot_rows.ahead", lambda make: make())
    assert create_snapshot(batches=[week]).sha256 == first.sha256


@pytest.mark.django_db(transaction=True)
def test_what_breaks_while_reading_breaks_the_writing() -> None:
    def pages() -> Iterator[int]:
        yield 1
        raise KeyError("two")

    got: list[int] = []
    with pytest.raises(KeyError, match="two"):
        got.extend(ahead(pages))
    assert readers() == []


@pytest.mark.django_db(transaction=True)
def test_a_reader_whose_pages_nobody_wants_any_more_ends() -> None:
    def pages() -> Iterator[int]:
        yield from range(1000)

    found = ahead(pages)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert readers() == []
