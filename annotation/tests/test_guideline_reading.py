"""Guidelines beside the pair: reading, what changed since, reports. Ada and Ben annotate, Rosa writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Focus
from annotation.models import Comparison, Guideline, GuidelineReading, GuidelineReport, User
from annotation.queries import last_readings
from annotation.services.allocation import lease_next
from annotation.services.guidelines import add_guideline, confirm_reading, handle_report

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]


@pytest.fixture
def first(db: None) -> Guideline:
    return add_guideline(focus=Focus.HELPFULNESS, text="# Helpful\n\nShort answers are *good*.")


@pytest.fixture
def second(first: Guideline) -> Guideline:
    return add_guideline(focus=Focus.HELPFULNESS, text="# Helpful\n\nTrue answers are *good*.")


def shown(client: Client, focus: str = "helpfulness") -> Any:
    return client.get(reverse("api:guideline", args=[focus])).json()


def post(client: Client, name: str, pk: int, data: Any) -> Any:
    return client.post(reverse(f"api:{name}", args=[pk]), data, content_type="application/json")


def report(**fields: Any) -> dict[str, Any]:
    return {"uid": str(uuid4()), "text": "Nothing is said of poems.", **fields}


def test_the_first_time_the_whole_text_is_shown_without_a_difference(
    ada: User, first: Guideline, as_user: AsUser
) -> None:
    answer = shown(as_user(ada))
    assert "<em>good</em>" in answer.pop("html")
    assert answer == {"id": first.pk, "version": 1, "read": False, "difference": None, "since": None}


def test_what_was_confirmed_is_read_and_not_announced_again(
    ada: User, first: Guideline, as_user: AsUser
) -> None:
    client = as_user(ada)
    for _ in range(2):
        assert post(client, "guideline-read", first.pk, {}).json() == {"read": True}
    assert GuidelineReading.objects.count() == 1
    answer = shown(client)
    assert (answer["read"], answer["difference"], answer["since"]) == (True, None, None)


def test_a_new_version_comes_with_what_changed_since_the_last_one_read(
    ada: User, first: Guideline, second: Guideline, as_user: AsUser
) -> None:
    client = as_user(ada)
    post(client, "guideline-read", first.pk, {})
    answer = shown(client)
    assert (answer["id"], answer["version"], answer["read"], answer["since"]) == (second.pk, 2, False, 1)
    assert "<del>Short</del> <ins>True</ins>" in answer["difference"]
    post(client, "guideline-read", second.pk, {})
    assert shown(client)["difference"] is None


def test_versions_that_were_skipped_are_compared_with_the_last_one_read(
    ada: User, first: Guideline, second: Guideline, as_user: AsUser
) -> None:
    confirm_reading(annotator=ada, guideline=first)
    add_guideline(focus=Focus.HELPFULNESS, text="# Helpful\n\nWhole answers are *good*.")
    answer = shown(as_user(ada))
    assert (answer["version"], answer["since"]) == (3, 1)
    assert "<del>Short</del> <ins>Whole</ins>" in answer["difference"]


def test_a_version_of_the_same_words_has_nothing_to_show(
    ada: User, first: Guideline, as_user: AsUser
) -> None:
    confirm_reading(annotator=ada, guideline=first)
    add_guideline(focus=Focus.HELPFULNESS, text=f"{first.text}\n")
    answer = shown(as_user(ada))
    assert (answer["read"], answer["difference"], answer["since"]) == (False, None, 1)


def test_text_of_the_guidelines_is_shown_and_not_run(ada: User, first: Guideline, as_user: AsUser) -> None:
    confirm_reading(annotator=ada, guideline=first)
    add_guideline(focus=Focus.HELPFULNESS, text="# Helpful\n\n<script>alert(1)</script>")
    answer = shown(as_user(ada))
    assert "<script" not in answer["html"]
    assert "<script" not in answer["difference"]


def test_what_ada_read_ben_has_not(ada: User, ben: User, first: Guideline, as_user: AsUser) -> None:
    post(as_user(ada), "guideline-read", first.pk, {})
    assert not shown(as_user(ben))["read"]
    assert last_readings(ada) == {"helpfulness": first.pk}
    assert last_readings(ben) == {}


def test_reading_an_old_version_again_does_not_unread_the_new_one(
    ada: User, first: Guideline, second: Guideline, as_user: AsUser
) -> None:
    for row in (second, first):
        confirm_reading(annotator=ada, guideline=row)
    assert shown(as_user(ada))["read"]
    assert last_readings(ada) == {"helpfulness": second.pk}


@pytest.mark.parametrize("focus", ["safety", "honesty"])
def test_a_focus_without_guidelines_is_not_found(
    ada: User, first: Guideline, as_user: AsUser, focus: str
) -> None:
    answer = as_user(ada).get(reverse("api:guideline", args=[focus]))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(("name", "data"), [("guideline-read", {}), ("guideline-reports", report())])
@pytest.mark.parametrize("pk", [404, 2**63])
def test_a_version_that_is_not_there_is_not_found(
    ada: User, as_user: AsUser, name: str, data: dict[str, Any], pk: int
) -> None:
    assert post(as_user(ada), name, pk, data).status_code == 404


def test_a_report_sent_twice_is_stored_once_with_the_pair_at_hand(
    ada: User, first: Guideline, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    (held,) = lease_next(annotator=ada)
    client, data = as_user(ada), report(comparison=held.key)
    assert [post(client, "guideline-reports", first.pk, data).status_code for _ in range(2)] == [201, 200]
    row = GuidelineReport.objects.get()
    assert (row.annotator, row.guideline, row.comparison, row.text) == (ada, first, held, data["text"])


def test_a_report_names_no_pair_that_its_writer_never_had(
    ada: User, ben: User, first: Guideline, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    (held,) = lease_next(annotator=ben)
    assert post(as_user(ada), "guideline-reports", first.pk, report(comparison=held.key)).status_code == 201
    assert GuidelineReport.objects.get().comparison is None


def test_a_name_that_ada_used_neither_stores_for_ben_nor_shows_him_hers(
    ada: User, ben: User, first: Guideline, as_user: AsUser
) -> None:
    data = report()
    post(as_user(ada), "guideline-reports", first.pk, data)
    assert post(as_user(ben), "guideline-reports", first.pk, data).status_code == 409
    assert GuidelineReport.objects.get().annotator == ada


def test_a_report_that_says_nothing_is_refused(ada: User, first: Guideline, as_user: AsUser) -> None:
    answer = post(as_user(ada), "guideline-reports", first.pk, report(text=" \n"))
    assert answer.status_code == 400
    assert "Say what is wrong" in answer.json()["detail"]
    assert not GuidelineReport.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": "x" * 4001}, "text"),
        ({"text": "\0"}, "text"),
        ({"comparison": "x"}, "comparison"),
        ({"uid": "1"}, "uid"),
    ],
)
def test_a_wrong_field_of_a_report_is_named(
    ada: User, first: Guideline, as_user: AsUser, fields: dict[str, Any], field: str
) -> None:
    answer = post(as_user(ada), "guideline-reports", first.pk, report(**fields))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_report_is_dealt_with_once(
    ada: User, ben: User, rosa: User, first: Guideline, as_user: AsUser
) -> None:
    post(as_user(ada), "guideline-reports", first.pk, report())
    row = GuidelineReport.objects.get()
    for person in (rosa, ben):
        handle_report(report=row, by=person)
    row.refresh_from_db()
    assert row.handled_by == rosa
    assert row.handled_at is not None


@pytest.mark.parametrize("path", ["helpfulness", "1/read", "1/reports"])
def test_a_stranger_reads_and_reports_nothing(client: Client, db: None, path: str) -> None:
    address = f"/api/v1/guidelines/{path}"
    answer = client.get(address) if path == "helpfulness" else client.post(address, {})
    assert (answer.status_code, answer.json()["code"]) == (401, "signed-out")


def test_reading_costs_four_queries(
    ada: User,
    first: Guideline,
    second: Guideline,
    as_user: AsUser,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    confirm_reading(annotator=ada, guideline=first)
    client = as_user(ada)
    with django_assert_num_queries(4):  # session, user, the version in force, the last one read
        shown(client)
