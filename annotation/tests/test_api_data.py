"""The data's collections. Rosa researches, Rhea reviews, Ada and Ben annotate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from annotation import browsing
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.states import BatchState
from annotation.models import Batch, Comparison, Dialogue, Gold, Judgment, Prompt, User
from annotation.services.batches import create_batch
from annotation.services.guidelines import add_guideline
from tests.factories import make_batch, make_comparisons, make_judgment

AsUser = Callable[[User], Client]
API = "/api/v1"
KEY = "0" * 32


@pytest.fixture
def client(rosa: User, as_user: AsUser) -> Client:
    return as_user(rosa)


@pytest.fixture
def judged(ada: User, ben: User) -> Batch:
    """A week of two pairs: Ada and Ben agree on one and not on the other."""
    batch = make_batch(overlap=2)
    make_comparisons(batch, 2)
    for choice in Choice:
        make_judgment(ada, choice=Choice.A)
        make_judgment(ben, choice=choice, grade=Grade.SLIGHTLY_BETTER)
    return batch


def rows(client: Client, address: str, **parameters: str | int) -> list[dict[str, Any]]:
    answer = client.get(f"{API}/{address}", parameters)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def post(client: Client, address: str, body: object) -> Any:
    return client.post(f"{API}/{address}", body, content_type="application/json")


def every_text(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from every_text(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every_text(inner)
    elif isinstance(value, str):
        yield value


def test_prompts_are_added_all_at_once_and_listed(client: Client) -> None:
    body = {
        "prompts": [
            {"text": "How do I pick a lock?", "focus": "safety", "risk": "illicit", "attack": "logic"},
            {"text": "Why is the sky blue?", "focus": "helpfulness", "language": "en", "category": "physics"},
            {"text": "Why is the sky blue?", "focus": "helpfulness", "category": "physics"},
        ]
    }
    answer = post(client, "prompts", body)
    told = answer.json()
    assert (answer.status_code, told["new"], told["repeated"]) == (201, 2, 1)
    assert told["keys"][1] == told["keys"][2]
    (safe,) = rows(client, "prompts", focus="safety")
    assert (safe["key"], safe["risk"], safe["in_pool"], safe["split"]) == (
        told["keys"][0],
        "illicit",
        True,
        "",
    )
    assert client.get(f"{API}/prompts/{safe['key']}").json() == safe
    assert [row["text"] for row in rows(client, "prompts", category="physics")] == ["Why is the sky blue?"]
    assert rows(client, "prompts", split="train") == []


def test_one_bad_prompt_keeps_all_out_and_each_fault_is_named(client: Client) -> None:
    good = {"text": "Good", "focus": "helpfulness"}
    bad = [
        {"text": " ", "focus": "helpfulness"},
        {"text": "x", "focus": "speed"},
        {"text": "x", "focus": "safety", "difficulty": 2},
        {"focus": "safety"},
        {"text": "x", "focus": "safety", "colour": "red"},
        {"text": "x", "focus": "safety", "turns": 10**30},
    ]
    answer = post(client, "prompts", {"prompts": [good, *bad]})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "prompts.1.text",
        "prompts.2.focus",
        "prompts.3.difficulty",
        "prompts.4.text",
        "prompts.5.colour",
        "prompts.6.turns",
    }
    assert not Prompt.objects.exists()


@pytest.mark.parametrize(
    ("text", "status", "field"),
    [
        ("{", 422, ""),
        ("[]", 422, ""),
        ("null", 422, ""),
        ('{"prompts": []}', 422, "prompts"),
        ('{"prompts": [{"text": "a\\u0000", "focus": "safety"}]}', 422, "prompts"),
        ('{"prompts": [{"text": "\\ud800", "focus": "safety"}]}', 422, ""),
        ("[" * 5_000, 422, ""),
    ],
)
def test_a_body_of_another_shape_is_named_and_never_breaks_anything(
    client: Client, text: str, status: int, field: str
) -> None:
    answer = client.post(f"{API}/prompts", text, content_type="application/json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)


def test_a_whole_number_may_be_written_with_a_point(client: Client) -> None:
    answer = client.post(
        f"{API}/prompts",
        '{"prompts": [{"text": "x", "focus": "safety", "turns": 3.0, "difficulty": 1.0}]}',
        content_type="application/json",
    )
    assert (answer.status_code, Prompt.objects.get().turns) == (201, 3)
    half = '{"prompts": [{"text": "y", "focus": "safety", "turns": 3.5}]}'
    assert client.post(f"{API}/prompts", half, content_type="application/json").status_code == 422


def test_at_most_a_thousand_prompts_come_at_once(client: Client) -> None:
    many = [{"text": f"Prompt {i}", "focus": "helpfulness"} for i in range(1001)]
    assert post(client, "prompts", {"prompts": many}).json()["errors"][0]["field"] == "prompts"


def test_a_form_is_no_body(client: Client) -> None:
    answer = client.post(f"{API}/prompts", {"text": "x"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_dialogues_name_their_prompt_and_one_shows_its_responses(client: Client, judged: Batch) -> None:
    dialogue = Dialogue.objects.order_by("-pk")[0]
    row = rows(client, "dialogues")[0]
    assert (row["key"], row["prompt"], row["messages"]) == (
        dialogue.key,
        dialogue.prompt.key,
        dialogue.messages,
    )
    assert [found["key"] for found in rows(client, "dialogues", prompt=dialogue.prompt.key)] == [dialogue.key]
    one = client.get(f"{API}/dialogues/{dialogue.key}").json()
    assert {response["text"] for response in one["responses"]} == set(
        dialogue.responses.values_list("text", flat=True)
    )
    assert rows(client, "dialogues", turns=2) == []


def test_comparisons_show_both_responses_and_whether_people_differ(client: Client, judged: Batch) -> None:
    for disputed in (True, False):
        (row,) = rows(client, "comparisons", disputed=str(disputed).lower(), batch=judged.number)
        pair = Comparison.objects.get(key=row["key"])
        assert (pair.dispute > 0, row["dispute"], row["batch"]) == (disputed, pair.dispute, judged.number)
        assert row["response_a"]["text"] == pair.response_a.text
        assert client.get(f"{API}/comparisons/{row['key']}").json() == row
    assert rows(client, "comparisons", batch=99) == rows(client, "comparisons", focus="safety") == []
    assert rows(client, "comparisons", fields="response_a.policy")[0] == {
        "response_a": {"policy": "policy-x"}
    }


def test_judgments_carry_pseudonyms_and_no_user_names(client: Client, judged: Batch) -> None:
    found = rows(client, "judgments", batch=judged.number)
    assert len(found) == 4
    assert {row["annotator"] for row in found} == {"annotator-ada", "annotator-ben"}
    for text in every_text(found + rows(client, "comparisons") + rows(client, "dialogues")):
        assert text not in {"ada", "ben"}
    (uid, *_) = (row["uid"] for row in found)
    assert client.get(f"{API}/judgments/{uid}").json()["uid"] == uid


def test_judgments_are_found_by_who_and_what_and_when(client: Client, judged: Batch) -> None:
    assert len(rows(client, "judgments", annotator="annotator-ada")) == 2
    assert len(rows(client, "judgments", grade="slightly_better", source="person")) == 2
    pair = Comparison.objects.order_by("pk")[0]
    assert {row["comparison"] for row in rows(client, "judgments", comparison=pair.key)} == {pair.key}
    third = Judgment.objects.order_by("pk")[2]
    Judgment.objects.filter(pk__lt=third.pk).update(created_at=timezone.now() - timedelta(days=3))
    since = (timezone.now() - timedelta(days=1)).isoformat()
    assert len(rows(client, "judgments", since=since)) == 2
    assert rows(client, "judgments", safety="both_safe") == []


def test_only_judgments_that_count_are_listed(client: Client, judged: Batch) -> None:
    first, second = Judgment.objects.order_by("pk")[:2]
    Judgment.objects.filter(pk=first.pk).update(current=False)
    Judgment.objects.filter(pk=second.pk).update(retracted=True, choice="", grade="")
    uids = {row["uid"] for row in rows(client, "judgments")}
    assert uids == {str(j.uid) for j in Judgment.objects.exclude(pk__in=[first.pk, second.pk])}
    assert client.get(f"{API}/judgments/{first.uid}").status_code == 404


def test_attention_checks_come_only_when_asked_for_and_only_to_researchers(
    client: Client, judged: Batch, rhea: User, as_user: AsUser
) -> None:
    pair = Comparison.objects.order_by("pk")[0]
    gold = Gold.objects.create(
        dialogue=pair.dialogue,
        response_a=pair.response_a,
        response_b=pair.response_b,
        focus=pair.focus,
        choice=Choice.A,
    )
    Comparison.objects.filter(pk=pair.pk).update(gold=gold)
    assert pair.key not in {row["key"] for row in rows(client, "comparisons")}
    (check,) = rows(client, "comparisons", attention_check="true")
    assert (check["key"], check["attention_check"]) == (pair.key, True)
    assert {row["comparison"] for row in rows(client, "judgments", attention_check="true")} == {pair.key}
    assert pair.key not in {row["comparison"] for row in rows(client, "judgments")}
    for address in ("comparisons", "judgments", f"comparisons/{pair.key}", "prompts", "dialogues"):
        assert as_user(rhea).get(f"{API}/{address}").status_code == 403


def test_a_bound_of_keys_leaves_out_nothing_that_belongs(
    client: Client, judged: Batch, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = create_batch(name="Later")
    make_comparisons(later, 3)
    Comparison.objects.filter(batch=judged).update(created_at=timezone.now() - timedelta(days=9))
    Judgment.objects.update(created_at=timezone.now() - timedelta(days=8))
    Batch.objects.filter(pk=judged.pk).update(
        created_at=timezone.now() - timedelta(days=10),
        state=BatchState.SEALED,
        sealed_at=timezone.now() - timedelta(days=7),
    )
    plain = {
        (a, n): rows(client, a, batch=n)
        for a in ("comparisons", "judgments")
        for n in (judged.number, later.number)
    }
    monkeypatch.setattr(browsing, "SHORT", 0)
    assert {(a, n): rows(client, a, batch=n) for a, n in plain} == plain
    assert [len(found) for found in plain.values()] == [2, 3, 4, 0]
    bounded = browsing.judgments_of_batch(Judgment.objects.all(), judged.number)
    assert 'id" <' in str(bounded.query)


def test_the_first_key_of_a_time_is_found_by_halving(judged: Batch) -> None:
    moments = [timezone.now() + timedelta(days=day) for day in range(4)]
    keys = list(Judgment.objects.order_by("pk").values_list("pk", flat=True))
    for key, moment in zip(keys, moments, strict=True):
        Judgment.objects.filter(pk=key).update(created_at=moment)
    found = [browsing.first_key_at(Judgment.objects.all(), "created_at", moment) for moment in moments]
    assert found == keys
    late = moments[-1] + timedelta(1)
    assert browsing.first_key_at(Judgment.objects.all(), "created_at", late) == keys[-1] + 1


@pytest.mark.parametrize(
    ("address", "queries"),
    [
        ("dialogues", 3),
        ("comparisons", 3),
        ("comparisons?batch=1", 4),
        ("judgments", 3),
        ("judgments?batch=1&since=2020-01-01T00:00:00Z", 6),
        ("batches", 4),
        ("tokens", 3),
    ],
)
def test_a_list_costs_as_many_queries_however_long_it_is(
    client: Client,
    ada: User,
    ben: User,
    address: str,
    queries: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    batch = make_batch(overlap=2)
    for _ in range(2):
        make_comparisons(batch, 3)
        for _ in range(3):
            make_judgment(ada)
            make_judgment(ben)
        create_batch()
        with django_assert_num_queries(queries):
            client.get(f"{API}/{address}")


def test_a_week_is_planned_opened_and_sealed(client: Client, ada: User) -> None:
    add_guideline(focus=Focus.HELPFULNESS, text="Be kind.")
    body = {
        "overlap": 2,
        "holdout": 1,
        "time_zone": "Europe/Berlin",
        "opens_at": "2036-01-05T08:00:00+01:00",
        "guidelines": [{"focus": "helpfulness", "version": 1}],
        "plan": {"coolest": 0.5, "mix": {"turns": 2}},
    }
    answer = post(client, "batches", body)
    told = answer.json()
    assert answer.status_code == 201
    assert (told["name"], told["state"], told["opens_at"]) == ("Week 1", "planned", "2036-01-05T07:00:00Z")
    assert told["guidelines"] == [{"focus": "helpfulness", "version": 1}]
    assert told["plan"]["mix"]["turns"] == 2
    batch = Batch.objects.get()
    make_comparisons(batch, 3)
    assert client.post(f"{API}/batches/1/open").json()["state"] == "open"
    assert [row["number"] for row in rows(client, "batches", state="open")] == [1]
    make_judgment(ada)
    counts = {"comparisons": 3, "complete": 0, "judgments": 1}
    assert client.get(f"{API}/batches/1").json()["counts"] == counts
    assert client.post(f"{API}/batches/1/seal").json()["sealed_at"] is not None
    again = client.post(f"{API}/batches/1/seal")
    assert (again.status_code, again.json()["code"]) == (409, "illegal-move")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"overlap": 0}, 422, "overlap"),
        ({"overlap": 10**40}, 422, "overlap"),
        ({"name": "x" * 101}, 422, "name"),
        ({"opens_at": "2036-01-05T08:00:00"}, 422, "opens_at"),
        ({"gold_rate": 0.9}, 422, "gold_rate"),
        ({"colour": 1}, 422, "colour"),
        ({"time_zone": "Mars/Crater"}, 409, "time_zone"),
        ({"seals_at": "2001-01-05T08:00:00Z"}, 409, "seals_at"),
        ({"guidelines": [{"focus": "safety", "version": 9}]}, 409, "guidelines"),
        ({"plan": {"mix": {"easy": 1.0}}}, 409, "hard"),
    ],
)
def test_a_week_that_cannot_be_is_refused_by_field(
    client: Client, body: dict[str, Any], status: int, field: str
) -> None:
    answer = post(client, "batches", body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (status, [field])
    assert not Batch.objects.exists()


def test_reviewers_see_weeks_and_change_none(rhea: User, judged: Batch, as_user: AsUser) -> None:
    client = as_user(rhea)
    assert client.get(f"{API}/batches/{judged.number}").status_code == 200
    assert [row["number"] for row in rows(client, "batches")] == [judged.number]
    for address in ("batches", f"batches/{judged.number}/open", f"batches/{judged.number}/seal"):
        assert post(client, address, {}).status_code == 403
    assert Batch.objects.get().state == BatchState.OPEN


def test_agreement_comes_with_its_errors_and_intervals(client: Client, judged: Batch) -> None:
    told = client.get(f"{API}/agreement", {"batch": judged.number}).json()
    scales = {scale["scale"]: scale for scale in told["scales"]}
    choice = scales["choice"]
    assert (choice["pairs"], choice["people"], choice["judgments"]) == (2, 2, 4)
    percent = next(one for one in choice["coefficients"] if one["name"] == "percent_agreement")
    assert percent["value"] == 0.5  # the same on one pair of two
    assert percent["low"] <= 0.5 <= percent["high"]
    of_safety = client.get(f"{API}/agreement?batch={judged.number}&focus=safety").json()
    assert of_safety["scales"][0]["judgments"] == 0


def test_agreement_needs_its_batch(client: Client) -> None:
    answer = client.get(f"{API}/agreement")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "batch")
    assert client.get(f"{API}/agreement", {"batch": 7}).status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        f"prompts/{KEY}",
        f"dialogues/{KEY}",
        f"comparisons/{KEY}",
        "judgments/00000000-0000-0000-0000-000000000000",
        "batches/7",
        f"batches/{10**30}",
        "prompts/%00",
        f"prompts/{KEY.upper()}x",
        "nothing",
    ],
)
def test_what_is_not_there_is_not_found_in_json(client: Client, address: str) -> None:
    answer = client.get(f"{API}/{address}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
