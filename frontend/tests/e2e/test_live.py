"""Prompts written at the bench: two answers side by side, one pace, and the dialogue that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from annotation.models import Batch, Comparison, Judgment, Response
from frontend.tests.e2e.test_workbench import effective, eventually, prompt
from tests.factories import make_policy
from training.models import LivePrompt
from training.tests.chat_server import ChatServer, Script

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

Pairs = Callable[..., list[Comparison]]
Bench = Callable[[], "Page"]
NAMES = ("policy-Aurora", "policy-Borealis", "served-aurora", "served-borealis")
WORDS = "Water boils at a hundred degrees, **lower** on a mountain, where the air is thin. ({seed})"


@pytest.fixture
def models() -> Iterator[ChatServer]:
    """Two policies and the server that answers for both."""
    with ChatServer() as server:
        server.scripts[""] = Script(WORDS, pause=0.01)
        for name in ("Aurora", "Borealis"):
            make_policy(f"policy-{name}", endpoint=server.address, endpoint_model=f"served-{name.lower()}")
        yield server


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your prompt").fill(text)
    page.keyboard.press("Enter")


def choose(page: Page, key: str) -> None:
    page.wait_for_selector("#judgment:not(.locked)")
    page.keyboard.press(key)
    page.keyboard.press("Enter")


def test_ada_asks_twice_in_one_dialogue_and_judges_both(
    bench: Bench, pairs: Pairs, week: Batch, models: ChatServer, context: BrowserContext
) -> None:
    Batch.objects.filter(pk=week.pk).update(turn_limit=2)
    pairs(1)
    page = bench()
    told: list[str] = []
    context.on("response", lambda response: told.append(str(response.all_headers())))
    page.get_by_role("button", name="Write a prompt").click()
    ask(page, "When does water boil?")
    page.wait_for_function("() => document.getElementById('left').textContent.length > 20")
    assert page.is_disabled("[name=cell][value='1']")
    choose(page, "2")
    page.get_by_role("heading", name="Go on with the answer you chose").wait_for()
    ask(page, "And on a mountain?")
    choose(page, "7")
    page.get_by_role("heading", name="Write a prompt").wait_for()  # the limit of two turns is reached
    eventually(effective(2), page)
    first, second = Judgment.objects.order_by("pk").select_related("comparison__dialogue")
    chosen = getattr(first.comparison, f"response_{first.choice}")
    assert [turn["content"] for turn in second.comparison.dialogue.messages] == [
        "When does water boil?",
        chosen.text,
        "And on a mountain?",
    ]
    for response in Response.objects.filter(dialogue__comparisons__judgments__in=[first, second]):
        assert response.policy.startswith("policy-")
        assert None not in (response.temperature, response.seed, response.latency_ms)
        assert response.finish_reason
    seen = page.content() + "".join(told)
    assert [name for name in NAMES if name in seen] == []
    page.get_by_role("button", name="Back to the pairs").click()
    assert prompt(page).startswith("Question")


def test_a_model_that_fails_costs_no_prompt(bench: Bench, pairs: Pairs, models: ChatServer) -> None:
    models.scripts["served-aurora"] = Script(WORDS, dies_after=3)
    pairs(1)
    page = bench()
    page.get_by_role("button", name="Write a prompt").click()
    ask(page, "When does water boil?")
    page.get_by_role("button", name="Ask again").wait_for()
    assert "Your prompt is kept: ask again." in page.inner_text("#sentence")
    assert LivePrompt.objects.get().text == "When does water boil?"
    models.scripts.pop("served-aurora")
    page.get_by_role("button", name="Ask again").click()
    choose(page, "1")
    eventually(effective(1), page)
    assert LivePrompt.objects.count() == 1


def test_stopping_keeps_the_prompt_and_stores_no_pair(bench: Bench, pairs: Pairs, models: ChatServer) -> None:
    models.scripts[""] = Script("{seed} " + "word " * 400, pause=0.05)
    pairs(1)
    page = bench()
    page.get_by_role("button", name="Write a prompt").click()
    ask(page, "Tell me a long story.")
    page.wait_for_function("() => document.getElementById('left').textContent.length > 20")
    page.get_by_role("button", name="Stop").click()
    assert page.inner_text("#sentence") == "Stopped. Your prompt is kept."
    page.get_by_role("button", name="Change the prompt").click()
    assert page.input_value("#composer-text") == "Tell me a long story."
    eventually(lambda: LivePrompt.objects.get().state == "stopped", page)
    assert Comparison.objects.count() == 1


def test_a_prompt_that_was_begun_survives_a_reload(bench: Bench, pairs: Pairs, models: ChatServer) -> None:
    pairs(1)
    page = bench()
    page.get_by_role("button", name="Write a prompt").click()
    page.get_by_label("Your prompt").fill("Half a quest")
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    page.get_by_role("button", name="Write a prompt").click()
    page.get_by_role("heading", name="Write a prompt").wait_for()
    assert page.input_value("#composer-text") == "Half a quest"


def test_a_reload_in_the_middle_of_the_answers_brings_the_prompt_back(
    bench: Bench, pairs: Pairs, models: ChatServer
) -> None:
    models.scripts[""] = Script("{seed} " + "word " * 100, pause=0.05)
    pairs(1)
    page = bench()
    page.get_by_role("button", name="Write a prompt").click()
    ask(page, "Tell me a long story.")
    page.wait_for_function("() => document.getElementById('left').textContent.length > 20")
    models.scripts[""] = Script(WORDS)
    page.reload()
    page.get_by_text("The answers broke off. Your prompt is kept: ask again.").wait_for()
    assert page.input_value("#composer-text") == "Tell me a long story."
    page.get_by_role("button", name="Ask", exact=False).first.click()
    choose(page, "1")
    eventually(effective(1), page)
