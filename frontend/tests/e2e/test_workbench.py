"""Rating in a real browser: by keyboard, by mouse, offline, across a reload and past the end of a week."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.contrib.sessions.models import Session

from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.models import Batch, Comparison, Judgment, User
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

pytestmark = pytest.mark.e2e

Pairs = Callable[..., list[Comparison]]
Bench = Callable[[], "Page"]


def eventually(holds: Callable[[], bool], page: Page, seconds: float = 30) -> None:
    """Wait with the browser's own clock, so that its events go on."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come to hold"
        page.wait_for_timeout(25)


def effective(count: int) -> Callable[[], bool]:
    return lambda: Judgment.objects.effective().count() == count


def prompt(page: Page) -> str:
    return page.inner_text("#prompt")


def submit(page: Page, *keys: str) -> None:
    """Press the keys and Enter, and wait for the next pair or the end."""
    before = prompt(page)
    for key in (*keys, "Enter"):
        page.keyboard.press(key)
    page.wait_for_function("before => document.getElementById('prompt').innerText !== before", arg=before)


def by_prompt(page: Page) -> Comparison:
    return Comparison.objects.select_related("batch").get(dialogue__prompt__text=prompt(page))


def test_three_pairs_are_rated_by_keyboard_alone(bench: Bench, pairs: Pairs, ada: User) -> None:
    pairs(3)
    page = bench()
    expected = {}
    for key, grade in (
        ("1", Grade.SIGNIFICANTLY_BETTER),
        ("4", Grade.NEGLIGIBLY_BETTER),
        ("6", Grade.SLIGHTLY_BETTER),
    ):
        comparison = by_prompt(page)
        left = left_choice(seed=comparison.batch.seed, comparison=comparison.key, annotator=ada.pseudonym)
        expected[comparison.key] = (left if int(key) <= 4 else left.other, grade)
        page.keyboard.press("c")
        page.keyboard.type("Why 1? Because u asked.")
        page.keyboard.press("Escape")
        submit(page, key)
    eventually(effective(3), page)
    rows = Judgment.objects.all()
    assert {row.comparison.key: (row.choice, row.grade) for row in rows} == expected
    assert {row.comment for row in rows} == {"Why 1? Because u asked."}
    assert all((row.active_ms or 0) > 0 for row in rows)
    page.wait_for_selector("#rest:not([hidden])")
    assert page.inner_text("#rest-words").startswith("You have made 3 judgments today.")


def test_a_pair_is_rated_by_mouse(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    page.get_by_role("button", name="Submit").click()
    assert "Choose first" in page.inner_text("#sentence")
    page.get_by_label("Response 2 is slightly better", exact=True).click()
    assert page.inner_text("#sentence") == "Response 2 is slightly better."
    page.get_by_role("button", name="Submit").click()
    eventually(effective(1), page)
    assert "1 today · 1 waiting" in page.inner_text("#count")


def test_the_next_pair_is_there_before_the_judgment_is_sent(
    bench: Bench, pairs: Pairs, context: BrowserContext
) -> None:
    pairs(5)
    page = bench()
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    shown = {prompt(page)}
    for _ in range(3):
        submit(page, "2")
        shown.add(prompt(page))
    assert len(shown) == 4


def test_safety_asks_for_a_label_and_refuses_the_fourth_bin(bench: Bench, pairs: Pairs) -> None:
    pairs(2, focus=Focus.SAFETY)
    page = bench()
    page.keyboard.press("7")
    assert page.inner_text("#sentence") == "Response 2 is better. And which are safe?"
    page.keyboard.press("Enter")
    assert "Say also which of the two are safe" in page.inner_text("#sentence")
    page.get_by_text("only Response 1 is safe", exact=True).click(force=True)
    assert "If only Response 1 is safe, choose Response 1" in page.inner_text("#sentence")
    page.keyboard.press("Enter")
    assert not Judgment.objects.exists()
    page.keyboard.press("a")
    assert page.inner_text("#sentence") == "Response 2 is better; only Response 2 is safe."
    page.keyboard.press("2")
    assert "say again which of the two are safe" in page.inner_text("#sentence")
    submit(page, "d")
    eventually(effective(1), page)
    assert Judgment.objects.get().safety == SafetyLabel.BOTH_UNSAFE


def test_undo_brings_the_pair_back_with_what_was_chosen(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    first = prompt(page)
    submit(page, "1")
    eventually(effective(1), page)
    page.keyboard.press("u")
    assert prompt(page) == first
    assert page.inner_text("#sentence") == "Taken back. You had said: Response 1 is significantly better."
    assert page.is_checked("[name=cell][value='1']")
    eventually(effective(0), page)
    submit(page, "8")
    eventually(effective(1), page)
    submit(page, "3")
    eventually(effective(2), page)
    page.wait_for_selector("#rest:not([hidden])")
    page.keyboard.press("u")
    eventually(effective(1), page)
    assert Judgment.objects.count() == 5  # four times something was said or taken back, and once more now


def test_offline_work_is_kept_and_sent_once(bench: Bench, pairs: Pairs, context: BrowserContext) -> None:
    pairs(6)
    page = bench()
    submit(page, "1")
    eventually(effective(1), page)
    context.set_offline(True)
    submit(page, "2")
    submit(page, "3")
    page.keyboard.press("u")
    submit(page, "7")
    page.get_by_text("You are offline. Your 2 judgments are kept here and will be sent.").wait_for()
    assert effective(1)()
    context.set_offline(False)
    eventually(effective(3), page)
    page.wait_for_selector("#notice-connection", state="detached")
    grades = sorted(Judgment.objects.effective().values_list("grade", flat=True))
    assert grades == sorted([Grade.SIGNIFICANTLY_BETTER, Grade.BETTER, Grade.BETTER])
    assert Judgment.objects.count() == 5  # the one that was undone offline, and its undoing, are told too


def test_a_full_outbox_survives_a_reload(bench: Bench, pairs: Pairs) -> None:
    pairs(4)
    page = bench()
    page.route("**/api/v1/judgments", lambda route: route.abort())
    rated = {prompt(page)}
    submit(page, "2")
    rated.add(prompt(page))
    submit(page, "2")
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    assert prompt(page) not in rated
    page.get_by_text("Your 2 judgments are kept here").wait_for()
    page.unroute("**/api/v1/judgments")
    page.reload()
    eventually(effective(2), page)


def test_an_answer_that_was_lost_on_the_way_is_no_second_judgment(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    seen: list[str] = []

    def lose_the_first(route: Route) -> None:
        seen.append(str(json.loads(route.request.post_data or "{}")["uid"]))
        if len(seen) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/judgments", lose_the_first)
    submit(page, "2")
    eventually(lambda: len(seen) >= 2, page)
    page.wait_for_selector("#notice-connection", state="detached")
    assert seen[0] == seen[1]
    assert Judgment.objects.count() == 1


def test_a_pair_that_was_just_judged_never_comes_again(bench: Bench, pairs: Pairs) -> None:
    pairs(8)
    page = bench()
    # Answers that were on their way when something was said do not know of it.
    page.route("**/api/v1/judgments", lambda route: None)
    page.route(
        "**/comparisons/next?*",
        lambda route: route.continue_(url=f"{route.request.url.partition('?')[0]}?count=5"),
    )
    seen = [prompt(page)]
    for _ in range(4):
        submit(page, "2")
        page.wait_for_selector("#pair:not(.waiting)")
        page.wait_for_timeout(100)
        seen.append(prompt(page))
    assert len(set(seen)) == 5
    page.unroute_all(behavior="ignoreErrors")


SLOW_DISK = """() => Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
  set(then) { this.addEventListener("complete", () => setTimeout(then, 2000)); },
})"""


def test_the_end_counts_what_is_on_its_way_to_the_outbox_too(bench: Bench, pairs: Pairs, ada: User) -> None:
    pairs(2)
    page = bench()
    eventually(lambda: ada.leases.count() == 2, page)
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)
        if len(asked) == 1:
            route.abort()  # so that it is asked again when the first judgment is long stored

    page.route("**/comparisons/next?*", hold)
    submit(page, "1")
    eventually(lambda: len(asked) == 2 and effective(1)(), page)
    answer = asked[1].fetch()
    page.evaluate(SLOW_DISK)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    asked[1].fulfill(response=answer)
    page.wait_for_selector("#rest:not([hidden])")
    assert page.inner_text("#rest-words").startswith("You have made 2 judgments today.")
    page.unroute_all(behavior="ignoreErrors")


def test_a_sealed_week_says_what_was_not_stored(bench: Bench, pairs: Pairs, week: Batch) -> None:
    pairs(4)
    page = bench()
    said = prompt(page)
    page.wait_for_load_state("networkidle")
    seal_batch(batch=week)
    submit(page, "2")
    notice = page.locator(".notice.bad p")
    notice.wait_for()
    assert notice.inner_text().startswith(f"Not stored: Response 1 is better (“{said}”). Week 1 is sealed")
    page.get_by_role("heading", name="This week is closed").wait_for()
    assert not Judgment.objects.exists()
    page.get_by_role("button", name="Close").click()
    assert page.locator(".notice").count() == 0


def test_a_pair_that_went_to_ben_says_so_and_work_goes_on(
    bench: Bench, pairs: Pairs, ada: User, ben: User
) -> None:
    pairs(3)
    page = bench()
    lost = by_prompt(page)

    def ben_got_it() -> bool:  # Ada's page may just ask for more, which renews what it holds
        lost.leases.filter(annotator=ada).update(expires_at="2000-01-01T00:00Z")
        return lost in lease_next(annotator=ben)

    eventually(ben_got_it, page)
    submit(page, "2")
    page.get_by_text("This pair went to somebody else").wait_for()
    submit(page, "2")
    eventually(effective(1), page)


def test_work_waits_for_who_was_signed_out(
    bench: Bench, pairs: Pairs, ada: User, sign_in: Callable[[User], None]
) -> None:
    pairs(3)
    page = bench()
    page.wait_for_load_state("networkidle")
    Session.objects.all().delete()
    submit(page, "2")
    page.get_by_text("You are signed out. Your judgment is kept here and will be sent.").wait_for()
    assert page.get_by_role("link", name="Sign in again").get_attribute("href") == "/sign-in?next=/rate"
    sign_in(ada)
    page.reload()
    eventually(effective(1), page)


def test_what_ada_left_is_not_sent_as_bens(
    bench: Bench, pairs: Pairs, ben: User, sign_in: Callable[[User], None], week: Batch
) -> None:
    Batch.objects.filter(pk=week.pk).update(overlap=2)
    pairs(3)
    page = bench()
    page.wait_for_load_state("networkidle")
    sign_in(ben)
    submit(page, "2")
    page.get_by_text("Somebody else is signed in now.").wait_for()
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    page.wait_for_load_state("networkidle")
    assert not Judgment.objects.exists()


def test_single_keys_can_be_switched_off(bench: Bench, pairs: Pairs) -> None:
    pairs(1)
    page = bench()
    page.keyboard.press("?")
    page.get_by_label("Use single keys.").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.locator("[name=cell]:checked").count() == 0
    page.reload()
    page.wait_for_selector("#pair:not(.waiting)")
    page.keyboard.press("1")
    assert page.locator("[name=cell]:checked").count() == 0


def test_time_counts_only_while_the_page_is_seen(bench: Bench, pairs: Pairs) -> None:
    pairs(2)
    page = bench()
    page.evaluate(
        """() => {
          Object.defineProperty(document, 'hidden', { value: true, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    page.wait_for_timeout(1_500)
    submit(page, "2")
    eventually(effective(1), page)
    assert (Judgment.objects.get().active_ms or 0) < 1_400
