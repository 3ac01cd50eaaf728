"""The pages of the prompt pool: Rosa writes, imports and labels; a reviewer does not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Focus
from annotation.models import AuditEvent, Prompt, Role, User
from annotation.services.prompts import NewPrompt, add_prompts, set_difficulties
from tests.factories import make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]

STORY = "Please write a short story about a dragon who learns to fly over the mountains"
TALE = "Write a short story about a dragon who learns to fly over the mountains"
SAID = {"focus": "helpfulness", "category": "", "risk": "", "attack": "", "language": "", "turns": 1}


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def place(name: str, *arguments: object) -> str:
    return reverse(f"admin:annotation_prompt_{name}", args=arguments)


def fill(*texts: str, **columns: Any) -> list[int]:
    add_prompts(NewPrompt(text=text, focus=Focus.HELPFULNESS, **columns) for text in texts)
    return [Prompt.objects.get(text=text).pk for text in texts]


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    content: str = answer.content.decode()
    return content


@pytest.mark.parametrize("name", ["write", "import"])
def test_a_reviewer_gets_no_hand_on_the_pool(as_user: AsUser, name: str) -> None:
    reviewer = as_user(make_user("otto", role=Role.REVIEWER))
    (key,) = fill("Why?")
    assert reviewer.get(place(name), follow=True).status_code == 403
    assert reviewer.post(place(name), {"text": "How?", **SAID}, follow=True).status_code == 403
    assert reviewer.post(place("pool", key), follow=True).status_code == 403
    assert Prompt.objects.get().in_pool


# Writing


def test_rosa_writes_a_prompt(rosas: Client, rosa: User) -> None:
    said = {**SAID, "focus": "safety", "risk": "illicit", "language": "EN", "text": " Pick it. "}
    answer = rosas.post(place("write"), said)
    prompt = Prompt.objects.get()
    assert answer.headers["Location"] == place("change", prompt.pk)
    assert (prompt.text, prompt.focus, prompt.risk, prompt.language) == (
        "Pick it.",
        "safety",
        "illicit",
        "en",
    )
    assert (prompt.source, prompt.in_pool) == ("rosa", True)
    assert AuditEvent.objects.get().actor == rosa


def test_a_near_duplicate_is_shown_before_it_is_added(rosas: Client) -> None:
    (key,) = fill(STORY)
    assert "all the same" not in text_of(rosas.get(place("write")))
    text = text_of(rosas.post(place("write"), {**SAID, "text": TALE}))
    assert "It resembles a prompt by 0.91" in text
    assert place("change", key) in text
    assert "Add it all the same" in text
    assert Prompt.objects.count() == 1
    rosas.post(place("write"), {**SAID, "text": TALE, "despite": "on"})
    assert Prompt.objects.get(text=TALE).cluster_id == key


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("text", "", "required"), ("language", "English", "Use a code"), ("turns", 0, "greater than or equal")],
)
def test_what_cannot_be_is_said_at_its_field(rosas: Client, field: str, value: Any, reason: str) -> None:
    assert reason in text_of(rosas.post(place("write"), {**SAID, "text": "Why?", field: value}))
    assert not Prompt.objects.exists()


def test_a_prompt_of_the_pool_is_not_written_again(rosas: Client) -> None:
    fill("Why?")
    assert "has this prompt already" in text_of(rosas.post(place("write"), {**SAID, "text": "Why?"}))


# Importing


def send(client: Client, content: bytes = b"", name: str = "a.csv", **said: Any) -> str:
    files = {"file": SimpleUploadedFile(name, content)} if content else {}
    return text_of(client.post(place("import"), {"pasted": "", **said, **files}))


def test_an_import_says_what_it_brought(rosas: Client, rosa: User) -> None:
    fill("Why?", STORY)
    content = f"text,focus\nWhy?,safety\n{TALE},safety\nHow?,safety\nHow?,safety\n".encode()
    text = send(rosas, content)
    assert "2 new prompts, 1 of them near-duplicate of others" in " ".join(text.split())
    assert "1 was in the pool before" in text
    assert "1 stood in the file again" in text
    assert "0.91" in text
    assert AuditEvent.objects.get().detail["file"] == "a.csv"


def test_lines_can_be_pasted(rosas: Client) -> None:
    send(rosas, pasted='{"text": "Why?"}\r\n{"text": "How?"}\r\n', focus="safety", language="en")
    send(rosas, pasted='text,focus\r\n"One\r\ntwo",safety\r\n')
    assert set(Prompt.objects.values_list("text", "language")) == {
        ("Why?", "en"),
        ("How?", "en"),
        ("One\ntwo", ""),
    }


def test_a_packed_file_is_read(rosas: Client) -> None:
    send(rosas, gzip.compress(b'{"text": "Why?", "focus": "safety"}\n'), name="a.jsonl.gz")
    assert Prompt.objects.get().text == "Why?"


def test_only_checking_stores_nothing(rosas: Client) -> None:
    text = send(rosas, b"text,focus\nWhy?,safety\n", dry_run="on")
    assert "Nothing was stored" in text
    assert "1 new prompt," in text
    assert not Prompt.objects.exists()


def test_bad_rows_are_listed_and_stop_the_import(rosas: Client) -> None:
    content = b"text,focus,turns\nWhy?,safety,\nHow?,harm,\nWho?,safety,0\n"
    text = send(rosas, content)
    assert "2 rows cannot be imported, so nothing was" in text
    assert "focus is &#x27;harm&#x27;" in text
    assert not Prompt.objects.exists()
    text = send(rosas, content, skip_invalid="on")
    assert "1 new prompt," in text
    assert "focus is &#x27;harm&#x27;" in text


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"\x00\xff\xfe\x80", "a.csv", "line 1, byte 2: not UTF-8"),
        (b"\x1f\x8b\x08 no gzip", "a.jsonl", "damaged or cut short"),
        (b"text;focus\nWhy?;safety\n", "a.csv", "names the columns"),
        (b"text,focus,colour\n", "a.csv", "&#x27;colour&#x27; is not a column"),
        (gzip.compress(b" " * 21 * 1024**2), "a.jsonl.gz", "longer than"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(
    rosas: Client, content: bytes, name: str, reason: str
) -> None:
    assert reason in send(rosas, content, name)
    assert not Prompt.objects.exists()


def test_too_large_a_file_and_none_at_all_are_refused(rosas: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.admin.prompt_forms.LARGEST", 8)
    assert "split it" in send(rosas, b"text,focus\nWhy?,safety\n")
    assert "one of the two" in send(rosas)
    assert "one of the two" in send(rosas, b"text", pasted="text")


def test_what_is_imported_is_shown_and_never_run(rosas: Client) -> None:
    send(rosas, b'text,focus\n"<script>alert(1)</script> =1+1",safety\n')
    text = text_of(rosas.get(place("change", Prompt.objects.get().pk)))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; =1+1" in text
    assert "<script>alert(1)" not in text


# The list


def chosen(client: Client, action: str, *keys: int) -> Any:
    return client.post(place("changelist"), {"action": action, "_selected_action": keys, "index": 0})


def test_prompts_are_taken_out_and_put_back_from_the_list(rosas: Client) -> None:
    keys = fill("Why?", "How?", "Who?")
    chosen(rosas, "out_of_pool", *keys[:2])
    assert set(Prompt.objects.filter(in_pool=True).values_list("pk", flat=True)) == {keys[2]}
    chosen(rosas, "into_pool", *keys)
    assert Prompt.objects.filter(in_pool=True).count() == 3


def test_many_prompts_are_labelled_at_once(rosas: Client, rosa: User) -> None:
    keys = fill("Why?", "How?", "Who?", category="old")
    form = chosen(rosas, "categorise", *keys[:2]).headers["Location"]
    assert ">2<" in text_of(rosas.get(form))
    answer = rosas.post(form, {"category": "law", "risk": "-", "attack": "", "language": "", "turns": ""})
    assert answer.headers["Location"] == place("changelist")
    assert dict(Prompt.objects.values_list("pk", "category")) == dict(
        zip(keys, ("law", "law", "old"), strict=True)
    )
    assert set(AuditEvent.objects.values_list("action", "actor")) == {("prompt.categorised", rosa.pk)}
    assert rosas.get(form).status_code == 404


def test_a_dash_takes_a_label_away(rosas: Client) -> None:
    (key,) = fill("Why?", category="law", language="de", risk="illicit")
    form = rosas.post(place("label", key)).headers["Location"]
    rosas.post(form, {"category": "-", "language": "-", "risk": "-", "turns": "4"})
    prompt = Prompt.objects.get()
    assert (prompt.category, prompt.language, prompt.risk, prompt.turns) == ("", "", "", 4)


def test_the_list_filters_and_counts_near_duplicates(rosas: Client) -> None:
    fill(STORY, TALE, MOUSE := "Who sails a paper boat down the river to the sea?")
    keys = dict(Prompt.objects.values_list("text", "key"))
    set_difficulties(rewards={keys[STORY]: [0.0], keys[TALE]: [5.0]}, reward_model="R1")
    for query, shown in {
        "near=yes": {STORY, TALE},
        "near=no": {MOUSE},
        "difficulty=hard": {STORY},
        "difficulty=easy": {TALE},
        "difficulty=none": {MOUSE},
        "difficulty=middle": set(),
        "q=sails": {MOUSE},
        "in_pool__exact=1&focus__exact=helpfulness": {STORY, TALE, MOUSE},
    }.items():
        text = text_of(rosas.get(f"{place('changelist')}?{query}"))
        assert {t for t in (STORY, TALE, MOUSE) if f">{t[:40]}" in text} == shown, query
    for order in (5, 6, -5, -6):
        text_of(rosas.get(f"{place('changelist')}?o={order}"))


def test_the_list_asks_no_more_for_many_prompts_than_for_few(
    rosas: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    fill(*(f"What is {n * n * 7919}?" for n in range(30)))
    with django_assert_max_num_queries(12):
        rosas.get(place("changelist"))


def test_the_page_of_a_prompt_shows_what_resembles_it(rosas: Client, rosa: User) -> None:
    first, second = fill(STORY, TALE)
    text = text_of(rosas.get(place("change", second)))
    assert place("change", first) in text
    assert place("change", second) not in text.split("Near-duplicates</h2>")[1]
    assert "cluster of 2 prompts" in text
    rosas.post(place("pool", second))
    text = text_of(rosas.get(place("change", second)))
    assert "Not in the pool" in text
    assert "prompt.taken_out" in text
    assert "0.91" in text
