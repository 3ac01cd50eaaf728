"""A pair full of what strangers might write is opened in a real browser: its text is seen, and nothing runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from annotation import rendering
from annotation.core.grades import Focus
from annotation.models import Batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs
from tests.hostile import MUTATES, RUNS, SHOWN

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Dialog, Page

pytestmark = pytest.mark.e2e

# Every element that a page could be taken over with, and every attribute that runs, fetches, styles or names.
ELEMENTS = (
    "script style img svg iframe object embed form input button base meta link video audio template title mglyph "
    "annotation-xml maction details select noscript foreignobject"
)
FOUND = f"""box => [...box.querySelectorAll('*')].flatMap(e => [
  ...('{ELEMENTS}'.split(' ').includes(e.localName.toLowerCase()) ? [e.localName] : []),
  ...[...e.attributes].filter(a => /^(on|style|src|id|name|title|xlink)/i.test(a.name)).map(a => a.name),
  ...(e.hasAttribute('href') && !/^(https?|mailto):/.test(e.getAttribute('href')) ? [e.outerHTML] : []),
])"""


def watch(context: BrowserContext, page: Page, server: str) -> list[str]:
    """What happens that must not."""
    events: list[str] = []

    def asked(dialog: Dialog) -> None:
        events.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("dialog", asked)
    context.on("page", lambda opened: events.append(f"opened {opened.url}"))
    context.on("request", lambda r: None if r.url.startswith(server) else events.append(f"request {r.url}"))
    page.on("framenavigated", lambda frame: events.append(f"went to {frame.url}"))
    return events


def store(batch: Batch, texts: list[str]) -> None:
    """A pair whose prompt and both answers hold all of `texts`."""
    whole = "\n\n".join(texts)
    pair = NewPair(
        messages=(
            {"role": "user", "content": f"Before.\n\n{whole}"},
            {"role": "assistant", "content": whole},
            {"role": "user", "content": f"The beginning.\n\n{whole}\n\nThe end."},
        ),
        focus=Focus.HELPFULNESS,
        first=NewResponse(text=f"The first.\n\n{whole}\n\nThe end."),
        second=NewResponse(text=f"The second.\n\n{whole}\n\nThe end."),
    )
    ingest_pairs(batch=batch, pairs=[pair])


@pytest.fixture
def opened(
    context: BrowserContext, server: str, bench: Callable[[], Page], week: Batch
) -> Callable[[list[str]], tuple[Page, list[str]]]:
    def open_with(texts: list[str]) -> tuple[Page, list[str]]:
        store(week, texts)
        page = bench()
        events = watch(context, page, server)
        page.reload()
        page.wait_for_selector("#pair:not(.waiting)")
        events.clear()  # the reload itself
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.wait_for_timeout(500)
        return page, events

    return open_with


def test_nothing_that_strangers_write_runs(opened: Callable[[list[str]], tuple[Page, list[str]]]) -> None:
    # NUL cannot be stored by PostgreSQL.
    page, events = opened([text.replace("\x00", "\x01") for text in RUNS])
    assert page.evaluate("window.pwned") is None
    assert page.title() == "Rate · Margin"
    for box in ("#prompt", "#left", "#right", "#earlier-turns"):
        assert page.locator(box).evaluate(FOUND) == []
        assert "pwned=1" in page.locator(box).inner_text()
    for box in ("#prompt", "#left", "#right"):
        assert "The end." in page.locator(box).inner_text()
    for link in page.locator("#left a[href]").all():
        assert link.get_attribute("target") == "_blank"
    page.locator("#left math").first.click()
    assert events == []


def test_text_of_all_scripts_is_shown(opened: Callable[[list[str]], tuple[Page, list[str]]]) -> None:
    whole = [(text, seen) for text, seen in SHOWN if chr(0xD800) not in text]  # no database takes the half
    page, events = opened([text for text, _ in whole])
    for box in ("#prompt", "#left", "#right"):
        shown = page.locator(box).inner_text()
        assert [seen for _, seen in whole if seen not in shown] == []
    right_to_left = page.locator("#left p", has_text="مرحبا")
    assert right_to_left.evaluate("p => getComputedStyle(p).direction") == "rtl"
    assert right_to_left.locator("code").evaluate("e => getComputedStyle(e).direction") == "ltr"
    assert events == []


def test_long_and_deep_answers_leave_the_page_usable(
    opened: Callable[[list[str]], tuple[Page, list[str]]],
) -> None:
    page, events = opened(["word " * 200_000, "> " * 2_000 + "deep"])
    assert "characters are shown." in page.locator("#left").inner_text()
    page.keyboard.press("2")
    assert page.locator("[name=cell]:checked").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert events == []


def test_a_wide_formula_scrolls_by_itself_and_takes_the_focus(
    opened: Callable[[list[str]], tuple[Page, list[str]]],
) -> None:
    page, _ = opened(["$$" + " + ".join(f"a_{{{n}}}" for n in range(80)) + "$$"])
    box = page.locator("#left .maths")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('#left .maths').scrollLeft > 0")


def test_what_the_second_fence_lets_through_stays_harmless_however_often_a_browser_reads_it(
    browser_page: Page,
) -> None:
    for html in MUTATES:
        cleaned = rendering._clean(html)
        found = browser_page.evaluate(
            f"""async html => {{
              const box = document.createElement('div');
              document.body.replaceChildren(box);
              const seen = [];
              for (let n = 0; n < 3; n++) {{
                box.innerHTML = html;
                seen.push(...({FOUND})(document.body));
                html = box.innerHTML;
              }}
              await new Promise(done => setTimeout(done, 5));
              return [...seen, ...(window.pwned ? ['pwned'] : [])];
            }}""",
            cleaned,
        )
        assert (html, found) == (html, [])


@pytest.fixture
def browser_page(context: BrowserContext) -> Page:
    """A page without any policy, where whatever could run would."""
    page = context.new_page()
    page.set_content("<!doctype html><body></body>")
    return page
