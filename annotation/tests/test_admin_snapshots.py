"""Snapshots in the admin: asked for, watched, compared, withdrawn. Rosa researches; Ada annotates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.admin.snapshot_forms import RecipeForm
from annotation.core.grades import Grade
from annotation.models import Batch, Comparison, Snapshot, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot, tend_snapshot
from tests.factories import form_data, make_judgment

Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def rosas(rosa: User, as_user: Callable[[User], Client]) -> Client:
    return as_user(rosa)


@pytest.fixture
def sealed(ada: User, week: Batch, pairs: Pairs) -> Batch:
    pairs(3)
    for _ in range(3):
        make_judgment(ada)
    return seal_batch(batch=week)


def address(name: str, snapshot: Snapshot) -> str:
    return reverse(f"admin:annotation_snapshot_{name}", args=(snapshot.pk,))


def text_of(client: Client, place: str, **given: Any) -> str:
    answer = client.get(place, given)
    assert answer.status_code == 200
    return answer.content.decode()


def test_rosa_asks_for_a_snapshot_with_her_own_margins_and_watches_it(
    rosas: Client, sealed: Batch, home: Path
) -> None:
    own = {f"margin_{grade}": str(number) for grade, number in zip(Grade, (2.5, 1, 0.5, 0), strict=True)}
    asked = form_data(
        RecipeForm(initial={"batches": ["1"]}),
        margin_table="own",
        formats=["trl-preference"],
        min_agreement="60",
        **own,
    )
    answer = rosas.post(reverse("admin:annotation_snapshot_add"), asked)
    assert answer.status_code == 302, answer.context["form"].errors
    snapshot = Snapshot.objects.get()
    assert (snapshot.state, snapshot.recipe["min_agreement"]) == ("waiting", 0.6)
    assert [snapshot.recipe["margins"][grade] for grade in Grade] == [2.5, 1, 0.5, 0]
    assert "It waits for a worker" in text_of(rosas, address("change", snapshot))
    assert "HX-Refresh" not in rosas.get(address("live", snapshot))
    tend_snapshot(pk=snapshot.pk)
    assert rosas.get(address("live", snapshot))["HX-Refresh"] == "true"
    text = text_of(rosas, address("change", snapshot))
    for path in ("data/train.jsonl", "manifest.json", "README.md", "formats/trl-preference/train.jsonl"):
        assert reverse("api:snapshot-file", args=(snapshot.pk, path)) in text


def test_a_week_offers_a_snapshot_of_all_weeks_up_to_it(rosas: Client, sealed: Batch) -> None:
    place = reverse("admin:annotation_batch_snapshot", args=(sealed.pk,))
    form = rosas.get(place).context["form"]
    assert form["batches"].value() == ["1"]
    rosas.post(place, form_data(form))
    assert Snapshot.objects.get().recipe["batches"] == [1]


def test_an_open_batch_gets_no_snapshot(rosas: Client, week: Batch) -> None:
    place = reverse("admin:annotation_batch_snapshot", args=(week.pk,))
    assert "Seal Week 1 first" in rosas.get(place, follow=True).content.decode()
    rosas.post(place, {"margin_table": "small", "batches": ["1"]})
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"margin_table": "own"}, "Give all four own margins"),
        ({"without_annotators": "nobody"}, "There is no &#x27;nobody&#x27;"),
        ({"min_agreement": "101"}, "less than or equal to 100"),
    ],
)
def test_a_recipe_that_cannot_be_is_shown_again_with_the_reason(
    rosas: Client, sealed: Batch, changes: dict[str, str], says: str
) -> None:
    asked = form_data(RecipeForm(initial={"batches": ["1"]}), **changes)
    answer = rosas.post(reverse("admin:annotation_snapshot_add"), asked)
    assert says in answer.content.decode()
    assert not Snapshot.objects.exists()


def test_a_withdrawal_is_shown_before_it_is_done(rosas: Client, ada: User, sealed: Batch) -> None:
    snapshot = create_snapshot(batches=[sealed])
    asked = {"annotators": ada.pseudonym, "reason": "Asked to be left out."}
    preview = rosas.post(address("withdraw", snapshot), asked)
    assert preview.context["facts"][0][:2] == ("Judgments that go", "3")
    snapshot.refresh_from_db()
    assert snapshot.state == "ready"
    rosas.post(address("withdraw", snapshot), {**asked, "sure": "on"})
    new = Snapshot.objects.get(version=2)
    tend_snapshot(pk=new.pk)
    assert "not given out any more" in text_of(rosas, address("change", snapshot))
    assert "3 are gone" in text_of(rosas, address("changes", new), since=snapshot.pk)


def test_a_snapshot_that_failed_is_tried_again(rosas: Client, sealed: Batch) -> None:
    snapshot = create_snapshot(batches=[sealed])
    Snapshot.objects.update(state="failed", error="The disk is full.")
    assert "The disk is full" in text_of(rosas, address("change", snapshot))
    rosas.post(address("retry", snapshot))
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.error) == ("waiting", "")


def test_nobody_has_begun_is_said_once_it_takes_long(
    rosas: Client, sealed: Batch, settings: pytest.FixtureRequest
) -> None:
    rosas.post(reverse("admin:annotation_snapshot_add"), form_data(RecipeForm(initial={"batches": ["1"]})))
    snapshot = Snapshot.objects.get()
    assert "no worker is running" not in text_of(rosas, address("live", snapshot))
    settings.SNAPSHOT_SWEEP = 0  # type: ignore[attr-defined]
    assert "no worker is running" in text_of(rosas, address("live", snapshot))


def test_a_snapshot_whose_files_are_gone_says_so(rosas: Client, sealed: Batch, home: Path) -> None:
    snapshot = create_snapshot(batches=[sealed])
    shutil.rmtree(home / "snapshots" / snapshot.path)
    assert "missing" in text_of(rosas, address("change", snapshot))


def test_nobody_changes_or_deletes_a_snapshot_by_hand(rosas: Client, sealed: Batch) -> None:
    snapshot = create_snapshot(batches=[sealed])
    assert rosas.post(address("delete", snapshot), {"post": "yes"}).status_code == 403
    rosas.post(address("change", snapshot), {"name": "x"})
    snapshot.refresh_from_db()
    assert snapshot.name != "x"
