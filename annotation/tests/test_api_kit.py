"""What every address of the API does alike: parameters, pages, fields, tags, limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework import serializers

from annotation.api.kit import filters
from annotation.api.kit.fields import narrow, pattern_of
from annotation.api.problems import InvalidRequestError
from annotation.core.grades import Focus
from annotation.models import Prompt, User
from annotation.services.prompts import NewPrompt, add_prompts

AsUser = Callable[[User], Client]
PROMPTS = "/api/v1/prompts"


def fill(count: int, start: int = 0, focus: Focus = Focus.HELPFULNESS) -> None:
    add_prompts(
        NewPrompt(text=f"Prompt {i} of many {i * i}", focus=focus) for i in range(start, start + count)
    )


@pytest.fixture
def client(rosa: User, as_user: AsUser) -> Client:
    return as_user(rosa)


def complaints(answer: Any) -> dict[str, str]:
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    return {error["field"]: error["reason"] for error in answer.json()["errors"]}


def test_an_unknown_parameter_is_refused_with_the_list_of_those_there_are(client: Client) -> None:
    reasons = complaints(client.get(PROMPTS, {"colour": "red"}))
    assert list(reasons) == ["colour"]
    assert "focus" in reasons["colour"]
    assert "page_size" in reasons["colour"]


@pytest.mark.parametrize(
    "name",
    [
        "focus__in",
        "text__contains",
        "dialogues__responses__policy",
        "cluster__dialogues__comparisons__judgments__annotator__password__startswith",
        "id",
        "pk__gt",
        "order_by",
        "access_token",
        "format",
    ],
)
def test_no_parameter_is_a_lookup_of_the_database(client: Client, name: str) -> None:
    assert name in complaints(client.get(PROMPTS, {name: "x"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("focus", "speed"),
        ("focus", ""),
        ("in_pool", "yes"),
        ("category", "a\0b"),
        ("category", "x" * 300),
        ("page_size", "0"),
        ("page_size", "201"),
        ("page_size", "9" * 40),
        ("page_size", "٣"),
        ("fields", "password"),
        ("fields", ","),
        ("fields", "text.length"),
    ],
)
def test_a_value_that_cannot_be_is_named_and_never_breaks_anything(
    client: Client, name: str, value: str
) -> None:
    assert list(complaints(client.get(PROMPTS, {name: value}))) == [name]


def test_a_parameter_given_twice_is_refused(client: Client) -> None:
    assert list(complaints(client.get(f"{PROMPTS}?focus=safety&focus=helpfulness"))) == ["focus"]


def test_pages_follow_one_another_and_back_and_keep_their_filters(client: Client) -> None:
    fill(25)
    fill(3, start=100, focus=Focus.SAFETY)
    pages, before = [], ""
    address = f"{PROMPTS}?focus=helpfulness&page_size=10&fields=key"
    while address:
        page = client.get(address).json()
        pages.append([row["key"] for row in page["results"]])
        address, before = page["next"], page["previous"]
    newest_first = list(
        Prompt.objects.filter(focus=Focus.HELPFULNESS).order_by("-pk").values_list("key", flat=True)
    )
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [key for page in pages for key in page] == newest_first
    assert [row["key"] for row in client.get(before).json()["results"]] == pages[1]


def test_rows_that_are_added_meanwhile_move_no_page(client: Client) -> None:
    fill(20)
    first = client.get(PROMPTS, {"page_size": 10}).json()
    fill(5, start=500)
    second = client.get(first["next"]).json()
    keys = [row["key"] for row in first["results"] + second["results"]]
    assert len(set(keys)) == 20
    assert second["next"] is None


def test_a_cursor_of_another_collection_is_refused(client: Client) -> None:
    fill(20)
    cursor = client.get(PROMPTS, {"page_size": 10}).json()["next"].partition("cursor=")[2].partition("&")[0]
    for address in (f"/api/v1/dialogues?cursor={cursor}", f"{PROMPTS}?cursor={cursor[:-1]}"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "lost-cursor")


@pytest.mark.parametrize("cursor", ["", "x", "\0", "[0,1]:x", "cD0xJnA9NDg3", "é", "x" * 5_000])
def test_a_cursor_that_was_made_up_leads_nowhere(client: Client, cursor: str) -> None:
    assert client.get(PROMPTS, {"cursor": cursor}).json()["code"] == "lost-cursor"


def test_a_page_costs_as_many_queries_however_long_it_is(
    client: Client, django_assert_num_queries: Callable[..., Any]
) -> None:
    for count, start in ((2, 0), (40, 100)):
        fill(count, start=start)
        with django_assert_num_queries(3):  # session, person, rows
            client.get(PROMPTS)


def test_only_the_wanted_fields_are_sent(client: Client) -> None:
    fill(1)
    (row,) = client.get(PROMPTS, {"fields": "key,text"}).json()["results"]
    assert set(row) == {"key", "text"}
    assert set(client.get(f"{PROMPTS}/{row['key']}?fields=focus").json()) == {"focus"}


class Inner(serializers.Serializer[Any]):
    b = serializers.CharField()
    c = serializers.CharField()


class Outer(serializers.Serializer[Any]):
    a = Inner(many=True)
    d = serializers.CharField()


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [
        ("a.b", {"a": [{"b": "1"}]}),
        ("a", {"a": [{"b": "1", "c": "2"}]}),
        ("a.b,a", {"a": [{"b": "1", "c": "2"}]}),
        ("d,a.c", {"a": [{"c": "2"}], "d": "3"}),
    ],
)
def test_fields_within_fields_are_named_with_a_dot(wanted: str, shape: dict[str, Any]) -> None:
    serializer = Outer({"a": [{"b": "1", "c": "2"}], "d": "3"})
    narrow(serializer, wanted)
    assert serializer.data == shape
    assert re.fullmatch(pattern_of(Outer()), wanted)


@pytest.mark.parametrize("wanted", ["x", "a.x", "d.b", "a.b.c", "", ",", "a,", "a, d", "a," * 2_000])
def test_a_field_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidRequestError):
        narrow(Outer(), wanted)
    assert not re.fullmatch(pattern_of(Outer()), wanted)


@given(st.text())
def test_no_text_breaks_a_kind_of_value(text: str) -> None:
    for kind in (filters.Word(("a",)), filters.Text(), filters.Number(), filters.Moment(), filters.Flag()):
        with suppress(ValueError):
            kind.parse(text)


def test_a_moment_needs_its_zone_and_a_plus_that_was_not_encoded_is_understood() -> None:
    kind = filters.Moment()
    assert kind.parse("2026-01-31T12:00:00 02:00") == kind.parse("2026-01-31T10:00:00Z")
    for text in ("2026-01-31T12:00:00", "2026-01-31", "0001-01-01T00:00:00+10:00", "2026-13-01T00:00:00Z"):
        with pytest.raises(ValueError, match="zone"):
            kind.parse(text)


def test_what_has_not_changed_is_not_sent_again(client: Client) -> None:
    fill(1)
    for address in (f"{PROMPTS}/{Prompt.objects.get().key}", PROMPTS):
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    tag = client.get(PROMPTS)["ETag"]
    fill(1, start=9)
    assert client.get(PROMPTS, headers={"If-None-Match": tag}).status_code == 200


def test_a_tag_holds_for_the_compressed_answer_too(client: Client) -> None:
    fill(20)
    packed = client.get(PROMPTS, headers={"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    again = client.get(PROMPTS, headers={"If-None-Match": packed["ETag"], "Accept-Encoding": "gzip"})
    assert again.status_code == 304


def test_answers_are_nobody_elses(client: Client) -> None:
    answer = client.get(PROMPTS)
    assert {"private", "no-cache"} <= set(answer["Cache-Control"].split(", "))
    assert {"Authorization", "Cookie"} <= set(answer["Vary"].split(", "))


def test_who_asks_too_often_is_told_when_to_come_back(client: Client, settings: Settings) -> None:
    settings.API_RATE = 3
    cache.clear()
    answers = [client.get(PROMPTS) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert answers[0]["RateLimit-Policy"] == '"minute";q=3;w=60'
    assert 1 <= int(answers[3]["Retry-After"]) <= 60
    assert answers[3].json()["code"] == "throttled"


def test_another_person_has_a_count_of_their_own(
    client: Client, settings: Settings, as_user: AsUser, rhea: User
) -> None:
    settings.API_RATE = 1
    cache.clear()
    assert client.get(PROMPTS).status_code == 200
    assert as_user(rhea).get("/api/v1/batches").status_code == 200


def test_a_cache_that_is_gone_shuts_nobody_out(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no cache")

    monkeypatch.setattr("annotation.api.kit.limits.cache.add", gone)
    assert client.get(PROMPTS).status_code == 200


def test_a_method_that_is_not_there_is_said_to_be_so(client: Client) -> None:
    for method in ("put", "patch", "delete", "options"):
        answer = getattr(client, method)(PROMPTS)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
        assert "GET" in answer["Allow"]


def test_a_form_from_another_site_changes_nothing(rosa: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rosa)
    body = {"prompts": [{"text": "Forged", "focus": "helpfulness"}]}
    for content_type in ("application/json", "text/plain"):
        answer = client.post(PROMPTS, body, content_type=content_type)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    assert not Prompt.objects.exists()


@pytest.mark.parametrize("key", [None, "once"])
def test_a_form_of_this_site_is_taken_and_its_body_reaches_the_view(rosa: User, key: str | None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rosa)
    client.cookies["csrftoken"] = "0" * 32
    headers = {"X-CSRFToken": "0" * 32, **({"Idempotency-Key": key} if key else {})}
    body = {"prompts": [{"text": "Ours", "focus": "helpfulness"}]}
    answers = [client.post(PROMPTS, body, content_type="application/json", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert Prompt.objects.get().text == "Ours"


def test_a_form_with_too_many_fields_cannot_be_read(rosa: User, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5
    client = Client(enforce_csrf_checks=True)
    client.force_login(rosa)
    client.cookies["csrftoken"] = "0" * 32
    answer = client.post(PROMPTS, {f"f{i}": "x" for i in range(9)}, headers={"X-CSRFToken": "0" * 32})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
