"""The pages as a browser without scripts sees them. Ada and Ben annotate, Rosa researches, Otto is an outsider."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Focus
from annotation.models import Batch, Comparison, User
from annotation.queries import guideline_ids
from annotation.services.batches import seal_batch
from annotation.services.guidelines import add_guideline, install_default_guidelines
from frontend import errors
from frontend.scale import CELLS, SAFETY
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]
AsUser = Callable[[User], Client]
PAGES = ("/", "/rate", "/guidelines")
PASSWORD = "correct horse battery"


def words(html: bytes) -> str:
    """The page's text, tags gone and white space folded."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.decode()).split())


@pytest.mark.parametrize("path", [*PAGES, "/api/v1/docs"])
def test_a_stranger_is_asked_to_sign_in_and_comes_back(db: None, client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={path}")


def test_ada_signs_in_and_out(ada: User, client: Client) -> None:
    answer = client.post("/sign-in?next=/rate", {"username": "ada", "password": PASSWORD, "next": "/rate"})
    assert answer["Location"] == "/rate"
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out")["Location"] == "/sign-in"
    assert client.get("/")["Location"] == "/sign-in?next=/"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_leads_to_another_site(ada: User, client: Client, target: str) -> None:
    answer = client.post("/sign-in", {"username": "ada", "password": PASSWORD, "next": target})
    assert answer["Location"] == "/"


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("otto", PASSWORD), ("nobody", PASSWORD)])
def test_who_may_not_come_in_learns_nothing_of_who_may(
    ada: User, otto: User, client: Client, name: str, password: str
) -> None:
    page = client.post("/sign-in", {"username": name, "password": password}).content
    assert "User name and password do not match." in words(page)


def test_home_says_what_waits_and_offers_one_thing_to_do(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(3)
    pairs(2, focus=Focus.SAFETY)
    make_judgment(ada)
    page = as_user(ada).get("/").content
    text = words(page)
    assert "4 pairs wait for you." in text
    assert "Helpfulness, waiting 2" in text
    assert "Safety, waiting 2" in text
    assert "Yours today 1" in text
    assert page.count(b'class="primary"') == 1


def test_home_before_the_first_week_says_what_will_happen(ada: User, as_user: AsUser) -> None:
    text = words(as_user(ada).get("/").content)
    assert "The first week has not opened yet." in text
    assert "Start rating" not in text


def test_home_with_everything_rated_says_thank_you(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    pairs(1)
    make_judgment(ada)
    text = words(as_user(ada).get("/").content)
    assert "You have rated everything that waited for you." in text
    assert "Start rating" not in text


def test_home_after_the_seal_says_when_and_what_comes_next(
    ada: User, week: Batch, pairs: Pairs, as_user: AsUser
) -> None:
    pairs(1)
    make_judgment(ada)
    seal_batch(batch=week)
    text = words(as_user(ada).get("/").content)
    assert "Week 1 is closed" in text
    assert "It holds 1 judgment of yours." in text


def test_rosa_sees_where_the_loop_stands_and_ada_does_not(ada: User, rosa: User, as_user: AsUser) -> None:
    assert "The loop has not begun" in words(as_user(rosa).get("/").content)
    assert "No worker is running" in words(as_user(rosa).get("/").content)
    for_ada = as_user(ada).get("/").content
    assert b"The loop" not in for_ada
    assert b"/admin/" not in for_ada


def test_home_costs_as_many_queries_with_many_pairs_as_with_few(
    ada: User, pairs: Pairs, as_user: AsUser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pairs(30)
    client = as_user(ada)
    # Session, user, week, today, in the week, waiting, recent days, flags, what came back, tests to qualify.
    with django_assert_max_num_queries(11):
        client.get("/")


def test_guidelines_show_the_version_in_force(ada: User, as_user: AsUser) -> None:
    install_default_guidelines()
    add_guideline(focus=Focus.SAFETY, text="# Safety anew\n\n<script>alert(1)</script>")
    page = as_user(ada).get("/guidelines").content
    text = words(page)
    assert "Version 1" in text
    assert "Safety anew" in text
    assert "Version 2" in text
    assert b"<script>alert" not in page


def test_guidelines_that_nobody_wrote_say_who_will(ada: User, as_user: AsUser) -> None:
    assert "None are written yet." in words(as_user(ada).get("/guidelines").content)


def test_the_bench_knows_who_rates_and_no_policy(ada: User, pairs: Pairs, as_user: AsUser) -> None:
    install_default_guidelines()
    pairs(2, policy="policy-zebra")
    page = as_user(ada).get("/rate").content.decode()
    boot = json.loads(page.partition('id="boot" type="application/json">')[2].partition("</script>")[0])
    assert boot["annotator"] == ada.pseudonym
    assert boot["guidelines"] == {focus: {"id": pk, "read": None} for focus, pk in guideline_ids().items()}
    assert "zebra" not in page


def test_the_bench_works_from_the_first_request_on(ada: User, as_user: AsUser) -> None:
    assert settings.CSRF_COOKIE_NAME in as_user(ada).get("/rate").cookies


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nowhere"])
def test_no_page_holds_inline_script_or_style(rosa: User, as_user: AsUser, client: Client, path: str) -> None:
    answer = (client if path == "/sign-in" else as_user(rosa)).get(path)
    page = answer.content.decode()
    assert not re.search(r"<script(?![^>]*(\ssrc=|application/json))|<style|\sstyle=|\son[a-z]+=", page)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_a_user_name_with_markup_is_shown_as_text(as_user: AsUser, db: None) -> None:
    hostile = User.objects.create_user("<img src=x onerror=alert(1)>", password=PASSWORD)
    assert b"<img src=x" not in as_user(hostile).get("/").content


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nowhere", "/admin2/%00"])
def test_a_wrong_address_is_answered_to_whom_it_was_asked_by(ada: User, as_user: AsUser, path: str) -> None:
    answer = as_user(ada).get(path)
    assert answer.status_code == 404
    if path.startswith("/api/"):
        assert answer.json()["code"] == "not-found"
    else:
        assert "There is nothing here" in words(answer.content)


def test_an_old_form_is_refused_in_a_sentence(ada: User) -> None:
    answer = Client(enforce_csrf_checks=True).post("/sign-in", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 403
    assert "This page was open too long" in words(answer.content)


def test_the_last_pages_need_nothing_that_may_be_broken(rf: RequestFactory) -> None:
    for path in ("/", "/api/v1/x"):
        assert errors.server_error(rf.get(path)).status_code == 500
        assert errors.bad_request(rf.get(path), ValueError()).status_code == 400
        assert errors.forbidden(rf.get(path), ValueError("secret")).status_code == 403
    assert b"secret" not in errors.forbidden(rf.get("/"), ValueError("secret")).content


def test_the_script_and_the_page_name_the_same_cells() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = finders.find("frontend/workbench/words.js")
    code = (
        f"import {{ choiceOf, cellOf, binsFor }} from {str(Path(str(script)).as_uri())!r};"
        "for (let n = 1; n <= 8; n++) { const c = choiceOf(n); console.log(cellOf(c), c.side, c.grade); }"
        "for (const [bin, words] of Object.entries(binsFor(null))) console.log(bin, words);"
    )
    ran = subprocess.run(
        [node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True, timeout=30
    )
    expected = [f"{cell.number} {cell.side} {cell.grade}" for cell in CELLS]
    assert ran.stdout.splitlines() == expected + [f"{bin_.value} {bin_.words}" for bin_ in SAFETY]


def test_the_workbench_stays_small_and_brings_nothing_from_others() -> None:
    folder = Path(str(finders.find("frontend/workbench/main.js"))).parent
    texts = [path.read_text() for path in folder.glob("*.js")]
    assert sum(len(text.splitlines()) for text in texts) <= 1500
    imported = {name for text in texts for name in re.findall(r'from "([^"]+)"', text)}
    assert {name for name in imported if not name.startswith("./")} == set()
