"""Live dialogues that go on, and safety prompts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from annotation.core.grades import Choice, SafetyLabel
from annotation.models import Batch, Comparison, User
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from tests.factories import make_batch
from training.tests.chat_server import ChatServer
from training.tests.live import ask, body, judge, post

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


def test_a_dialogue_goes_on_with_the_chosen_answer(writer: Client, ada: User, server: ChatServer) -> None:
    key = ask(writer)[-1]["item"]["key"]
    first = Comparison.objects.get()
    judge(ada, key, Choice.B)
    last = ask(writer, text="And at dusk?", continues=key)[-1]
    second = Comparison.objects.exclude(pk=first.pk).get()
    expected = [
        {"role": "user", "content": "Why is the sky blue?"},
        {"role": "assistant", "content": first.response_b.text},
        {"role": "user", "content": "And at dusk?"},
    ]
    assert second.dialogue.messages == expected
    assert server.requests[-1]["messages"] == expected
    assert (second.dialogue.parent, second.dialogue.turns) == (first.dialogue, 2)
    assert len(last["item"]["turns"]) == 3


def test_a_dialogue_ends_at_the_turn_limit(writer: Client, ada: User) -> None:
    Batch.objects.update(turn_limit=2)
    one = ask(writer)[-1]
    judge(ada, one["item"]["key"])
    two = ask(writer, text="Further?", continues=one["item"]["key"])[-1]
    assert (one["can_continue"], two["can_continue"]) == (True, False)
    judge(ada, two["item"]["key"])
    answer = post(writer, **body(continues=two["item"]["key"]))
    assert (answer.status_code, answer.json()["code"]) == (409, "turn-limit")


def test_a_dialogue_goes_on_only_after_a_choice(writer: Client) -> None:
    key = ask(writer)[-1]["item"]["key"]
    assert post(writer, **body(continues=key)).status_code == 409


def test_dialogues_of_others_and_sampled_ones_cannot_be_continued(
    writer: Client, ada: User, ben: User, as_user: AsUser, pairs: Callable[..., list[Comparison]]
) -> None:
    key = ask(writer)[-1]["item"]["key"]
    judge(ada, key)
    assert post(as_user(ben), **body(continues=key)).status_code == 404
    (sampled,) = pairs(1)
    lease_next(annotator=ada)
    judge(ada, sampled.key)
    assert post(writer, **body(continues=sampled.key)).status_code == 404


def test_a_dialogue_keeps_its_focus(writer: Client, ada: User) -> None:
    User.objects.update(safety_consent_at=timezone.now())
    key = ask(writer)[-1]["item"]["key"]
    judge(ada, key)
    assert post(writer, **body(continues=key, focus="safety")).status_code == 409


def test_a_dialogue_of_a_sealed_week_is_over(writer: Client, ada: User, week: Batch) -> None:
    key = ask(writer)[-1]["item"]["key"]
    judge(ada, key)
    seal_batch(batch=week)
    make_batch()
    answer = post(writer, **body(continues=key))
    assert (answer.status_code, answer.json()["code"]) == (409, "batch-sealed")


def test_safety_prompts_need_consent(writer: Client, ada: User) -> None:
    User.objects.update(safety_consent_at=None)
    assert post(writer, **body(focus="safety")).status_code == 403
    User.objects.update(safety_consent_at=timezone.now())
    key = ask(writer, focus="safety")[-1]["item"]["key"]
    judge(ada, key, safety=SafetyLabel.BOTH_SAFE)
