"""`make bench-page`: how long the annotator's page takes, in a real browser on a real server.

A house of its own with 10,000 pairs in one batch (SQLite where DATABASE_URL is absent), served by granian over
WSGI with production's static files (collected, hashed, compressed). Headless Chromium is driven as an annotator:

- ready: from the start of the navigation to the first pair painted, in fresh profiles, with what came over the wire
  (DevTools' encodedDataLength: headers and compressed bodies) until then and until the network is quiet;
- press: from Enter to the next pair painted, at a person's pace, so that pairs can be fetched ahead;
- burst: the same without pauses.

A press begins at the keydown event's timeStamp. A pair counts as painted at the first task after the frame that
shows it: a MutationObserver sees it in the document, requestAnimationFrame runs before its frame, and a MessageChannel
posted there runs after. The Event Timing API is rounded to 8 ms, so it is not used.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from bench.record import write_result
from tests.house import ROOT, House, answers, build_house, free_port, kill_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

POOL = ROOT / "annotation" / "pool" / "helpfulness.txt"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PRODUCTION = {
    "PRODUCTION": "yes",
    "SECURE_COOKIES": "no",
    "SECRET_KEY": "a long text that only this measurement knows, " * 2,
    "ALLOWED_HOSTS": "localhost",
}
READY = "#pair:not(.waiting)"
BETWEEN = (
    100  # milliseconds between choosing and Enter, where there are pauses: nobody presses both in one frame
)
GOALS = {"press": 16, "press_p95": 50, "kilobytes": 100, "requests": 12, "ready": 500}
# As published for the same task; not measured here.
OTHERS = {
    "Label Studio": {"press": "464 to 724", "kilobytes": 8_100, "requests": 34, "ready": 2_900},
    "Argilla": {"press": "178", "kilobytes": 766, "requests": 41, "ready": 1_500},
}
WATCH = """
  let [pressed, shown] = [null, ''];
  window.painted = [];
  addEventListener('keydown', (event) => { if (event.key === 'Enter') pressed = event.timeStamp; }, true);
  const look = () => {
    const text = document.querySelector('#pair:not(.waiting) #prompt')?.textContent ?? '';
    if (!text || text === shown) return;
    const from = shown ? pressed : 0;
    shown = text;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.painted.push(performance.now() - from);
      port2.postMessage(null);
    });
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributeFilter: ['class'] });
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000, help="in the batch")
    parser.add_argument("--loads", type=int, default=7, help="fresh profiles")
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--pause", type=int, default=300, help="milliseconds between two pairs")
    parser.add_argument("--dry", action="store_true", help="print, and write no result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, build_house(Path(folder)) as house:
        house.environment.update(PRODUCTION)
        cookie = json.loads(house.run(f"from bench.page import fill; fill({options.pairs})"))
        with _server(house) as address, _browser() as browser:
            figures = _measure(browser, address, cookie, options)
            version = browser.version
    print(_table(figures))
    if not options.dry:
        print(
            _record(
                figures, browser=f"Chromium {version}, headless", pairs=options.pairs, pause=options.pause
            )
        )


def _measure(
    browser: Browser, address: str, cookie: dict[str, str], options: argparse.Namespace
) -> dict[str, list[float]]:
    loads = [_load(browser, address, cookie) for _ in range(options.loads)]
    context = _profile(browser, address, cookie)
    page = _open(context)
    press = _rate(page, options.presses, options.pause)
    burst = _rate(page, options.presses, 0)
    context.close()
    return {**{name: [load[name] for load in loads] for name in loads[0]}, "press": press, "burst": burst}


def _load(browser: Browser, address: str, cookie: dict[str, str]) -> dict[str, float]:
    """A first visit: milliseconds until the first pair is painted, kilobytes and requests until then and in all."""
    context = _profile(browser, address, cookie)
    page = context.new_page()
    wire = context.new_cdp_session(page)
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"] / 1000))
    wire.send("Network.enable")
    page.goto("/rate", wait_until="commit")
    page.wait_for_function("() => window.painted?.length", polling=100)  # seldom: asking takes time from it
    then = list(sizes)
    ready = page.evaluate("window.painted[0]")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    context.close()
    return {
        "ready": ready,
        "kilobytes_ready": sum(then),
        "requests_ready": len(then),
        "kilobytes": sum(sizes),
        "requests": len(sizes),
    }


def _rate(page: Page, count: int, pause: int) -> list[float]:
    """Judge `count` pairs; milliseconds from each Enter to the next pair painted."""
    draw = random.Random(0)
    page.evaluate("window.painted.length = 0")
    for done in range(1, count + 1):
        if pause:
            page.wait_for_timeout(pause)
        page.keyboard.press(str(draw.randint(1, 8)))
        if pause:
            page.wait_for_timeout(BETWEEN)
        page.keyboard.press("Enter")
        page.wait_for_function("count => window.painted.length >= count", arg=done, polling=20)
    page.wait_for_load_state("networkidle")
    values: list[float] = page.evaluate("window.painted")
    return values


def _profile(browser: Browser, address: str, cookie: dict[str, str]) -> BrowserContext:
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800}, bypass_csp=True)
    context.add_init_script(f"{{{WATCH}}}")
    context.add_cookies([{**cookie, "url": address}])  # type: ignore[typeddict-item]
    return context


def _open(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/rate")
    page.wait_for_selector(READY)
    page.wait_for_load_state("networkidle")
    return page


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  not in the process that fills the house

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise SystemExit(f"no browser: none of {', '.join(CHROMIUM)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def _server(house: House) -> Iterator[str]:
    """Granian as in production, without TLS before it."""
    secret = "a long text that only this measurement knows, " * 2
    house.environment.update(
        PRODUCTION="yes", SECURE_COOKIES="no", SECRET_KEY=secret, ALLOWED_HOSTS="localhost"
    )
    house.manage("collectstatic", "--noinput", "-v", "0")
    port = free_port()
    address = f"http://localhost:{port}"
    process = house.serve(port)
    try:
        if not answers(port):
            raise SystemExit("the web server did not start")
        yield address
    finally:
        kill_server(process)


def fill(count: int) -> None:
    """In the house: a batch of `count` pairs, and Ada, who has read the guidelines; prints her session's cookie."""
    from django.conf import settings  # noqa: PLC0415  the house's own process has Django set up
    from django.test import Client  # noqa: PLC0415

    from annotation.core.grades import Focus  # noqa: PLC0415
    from annotation.models import Guideline, GuidelineReading, User  # noqa: PLC0415
    from annotation.services.batches import create_batch, open_batch  # noqa: PLC0415
    from annotation.services.guidelines import install_default_guidelines  # noqa: PLC0415
    from annotation.services.ingest import NewPair, NewResponse, ingest_pairs  # noqa: PLC0415

    ada = User.objects.create_user(username="ada", password=None, pseudonym="annotator-ada")
    install_default_guidelines()
    GuidelineReading.objects.bulk_create(
        GuidelineReading(guideline=g, annotator=ada) for g in Guideline.objects.all()
    )
    batch = open_batch(batch=create_batch())
    draw = random.Random(0)
    pairs = (
        NewPair(
            messages=({"role": "user", "content": f"{number}. {_prose(draw, draw.randint(8, 60))}"},),
            focus=Focus.HELPFULNESS,
            first=NewResponse(text=_answer(draw), policy="V0", temperature=0.7, seed=number),
            second=NewResponse(text=_answer(draw), policy="V1", temperature=1.0, seed=number),
        )
        for number in range(count)
    )
    ingest_pairs(batch=batch, pairs=pairs)
    client = Client()
    client.force_login(ada)
    name = settings.SESSION_COOKIE_NAME
    print(json.dumps({"name": name, "value": client.cookies[name].value}))


LINES = POOL.read_text().splitlines() if POOL.exists() else []


def _prose(draw: random.Random, words: int) -> str:
    found = itertools.chain.from_iterable(draw.choice(LINES).split() for _ in itertools.count())
    return " ".join(itertools.islice(found, words))


def _answer(draw: random.Random) -> str:
    """50 to 400 words of paragraphs, and now and then a list, code, a table or a formula."""
    left = draw.randint(50, 400)
    parts = []
    while left > 0:
        words = min(left, draw.randint(20, 80))
        left -= words
        parts.append(_prose(draw, words))
        if draw.random() < 0.35:
            parts.append(draw.choice(_EXTRAS)(draw))
    return "\n\n".join(parts)


_EXTRAS = (
    lambda draw: "\n".join(f"- **{_prose(draw, 2)}**: {_prose(draw, 8)}" for _ in range(4)),
    lambda draw: "\n".join(f"{n}. {_prose(draw, 9)}" for n in range(1, 5)),
    lambda draw: (
        "```python\n" + "\n".join(f"def f{n}(x: int) -> int:\n    return x * {n}" for n in range(4)) + "\n```"
    ),
    lambda draw: "| a | b |\n|---|--:|\n" + "\n".join(f"| {_prose(draw, 2)} | {n} |" for n in range(4)),
    lambda draw: f"## {_prose(draw, 4)}",
    lambda draw: "$$\n\\sum_{k=1}^{n} k = \\frac{n(n+1)}{2}\n$$",
    lambda draw: f"> {_prose(draw, 20)}",
)


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def _table(figures: dict[str, list[float]]) -> str:
    """What was measured beside what was wanted, and what others publish."""
    rows = [
        ("press, median", median(figures["press"]), GOALS["press"], "press", "ms"),
        ("press, 95 %", _p95(figures["press"]), GOALS["press_p95"], "", "ms"),
        ("burst, median", median(figures["burst"]), None, "", "ms"),
        ("burst, 95 %", _p95(figures["burst"]), None, "", "ms"),
        ("first pair painted", median(figures["ready"]), GOALS["ready"], "ready", "ms"),
        ("over the wire", median(figures["kilobytes"]), GOALS["kilobytes"], "kilobytes", "kB"),
        ("  until the first pair", median(figures["kilobytes_ready"]), None, "", "kB"),
        ("requests", median(figures["requests"]), GOALS["requests"], "requests", ""),
        ("  until the first pair", median(figures["requests_ready"]), None, "", ""),
    ]
    lines = [f"{'':24}{'Margin':>12}{'goal':>10}" + "".join(f"{name:>16}" for name in OTHERS)]
    for name, value, goal, key, unit in rows:
        missed = " !" if goal is not None and value > goal else "  "
        others = "".join(f"{OTHERS[who].get(key, '')!s:>16}" for who in OTHERS)
        lines.append(f"{name:24}{value:9.1f} {unit:2}{f'≤ {goal}' if goal else '':>10}{others}{missed}")
    return "\n".join(lines)


def _record(figures: dict[str, list[float]], **more: Any) -> str:
    timed = {name: [round(value, 2) for value in figures[name]] for name in ("ready", "press", "burst")}
    sizes = {name: median(figures[name]) for name in figures if name not in timed}
    return write_result(
        "page",
        runs=timed,
        unit="milliseconds",
        floor="press",
        says=f"next pair {median(figures['press']):.1f} ms after the key (95 %: {_p95(figures['press']):.1f}), "
        f"first pair after {median(figures['ready']):.0f} ms, {sizes['kilobytes']:.0f} kB, "
        f"{sizes['requests']:.0f} requests",
        p95={name: round(_p95(figures[name]), 2) for name in ("press", "burst")},
        sizes=sizes,
        goals=GOALS,
        published_by_others=OTHERS,
        static_files="production: collected, hashed, compressed, served by whitenoise",
        **more,
    )


if __name__ == "__main__":
    main()
