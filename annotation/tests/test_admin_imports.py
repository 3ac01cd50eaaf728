"""The pages of an import: Rosa brings a file, looks at what it would be, and imports it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from annotation.core.grades import Grade
from annotation.models import Batch, Judgment, Prompt, Role, User
from annotation.services.batches import seal_batch
from annotation.services.uploads import KEEP_SECONDS, prune_uploads
from tests.factories import make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]

EVIL = "<script>alert(1)</script>"
UPLOAD = "/admin/annotation/batch/import/"
GOOD = {
    "prompt": "Why?",
    "response_a": "Because.",
    "response_b": "No idea.",
    "choice": "a",
    "focus": "helpfulness",
}
PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No idea.", "margin": 3.0}


def task(number: int, verdict: str, **data: str) -> dict[str, Any]:
    answer = {"from_name": "verdict", "type": "choices", "value": {"choices": [verdict]}}
    strength = {"from_name": "strength", "type": "rating", "value": {"rating": 2}}
    pair = {"prompt": f"Name {number}.", "answer1": "Wren.", "answer2": "Bat.", **data}
    annotation = {"completed_by": 7, "result": [answer, strength]}
    return {"id": number, "data": pair, "annotations": [annotation]}


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def bring(client: Client, content: bytes, *, name: str = "rows.jsonl", form: str = "") -> str:
    """The address of the page on the file that was brought."""
    answer = client.post(UPLOAD, {"file": SimpleUploadedFile(name, content), "form": form})
    assert answer.status_code == 302, text_of(answer)
    return str(answer.headers["Location"])


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def shown(client: Client, place: str) -> dict[str, str]:
    """What a browser would send of the form as it stands."""
    form = client.get(place).context["form"]
    return {bound.html_name: str(bound.value() or "") for _, fields in form.groups() for bound in fields}


def check(client: Client, place: str, **changes: str) -> str:
    answer = client.post(place, {**shown(client, place), **changes, "do": "check"}, follow=True)
    assert answer.redirect_chain, text_of(answer)
    return text_of(answer)


def test_a_file_goes_from_its_upload_to_a_batch(rosas: Client, rosa: User, week: Batch) -> None:
    place = bring(rosas, lines(GOOD, {**GOOD, "prompt": "How?"}))
    page = text_of(rosas.get(place))
    assert "read as Margin&#x27;s own JSONL" in page
    assert "Because." in page
    report = check(rosas, place)
    assert "New judgments" in report
    assert not Judgment.objects.exists()
    answer = rosas.post(f"{place}check/", follow=True)
    assert f'<a href="/admin/annotation/batch/{week.pk}/change/">Week 1</a>' in text_of(answer)
    assert Judgment.objects.count() == 2
    assert week.events.latest("pk").by == rosa


def test_the_sidebar_leads_to_it(rosas: Client) -> None:
    assert f'href="{reverse("admin:annotation_batch_import")}"' in text_of(rosas.get("/admin/"))


def test_a_margin_becomes_what_the_chosen_table_says(rosas: Client) -> None:
    place = bring(rosas, lines(PAIR))
    assert shown(rosas, place)["margin_table"] == "large"  # only there 3 is a number
    check(rosas, place, margin_table="large", focus="safety")
    rosas.post(f"{place}check/")
    row = Judgment.objects.get()
    assert (row.grade, row.focus) == (Grade.SIGNIFICANTLY_BETTER, "safety")


def test_free_names_are_guessed_shown_and_may_be_changed(rosas: Client) -> None:
    place = bring(rosas, json.dumps([task(1, "A"), task(2, "B"), task(3, "dunno")]).encode())
    said = shown(rosas, place)
    assert (said["prompt"], said["response_a"], said["choice"]) == ("prompt", "answer1", "verdict")
    assert [said[name] for name in ("choice-0-0", "choice-0-1", "choice-0-2")] == ["a", "b", "none"]
    changes = {"choice-0-2": "b", "grade": "strength", "grade-1-0": "slightly_better"}
    report = check(rosas, place, **changes)
    assert re.search(r"New judgments</th><td class=\"m-num\">3<", report)
    rosas.post(f"{place}check/")
    assert set(Judgment.objects.values_list("grade", flat=True)) == {"slightly_better"}


def test_answers_of_another_question_are_shown_before_they_count(rosas: Client) -> None:
    place = bring(rosas, lines(task(1, "A")))
    answer = rosas.post(place, {**shown(rosas, place), "choice": "strength", "do": "check"}, follow=True)
    assert "they are another question" in text_of(answer)
    assert "“2” means" in text_of(answer)
    assert rosas.get(f"{place}check/").status_code == 404


def test_another_format_asks_for_other_things(rosas: Client) -> None:
    place = bring(rosas, lines(PAIR))
    answer = rosas.post(place, {**shown(rosas, place), "form": "native", "do": "check"}, follow=True)
    page = text_of(answer)
    assert "margin_table" not in page
    assert "A bad row (line 1)" in page


def test_a_mapping_that_cannot_be_is_said_on_the_page(rosas: Client) -> None:
    place = bring(rosas, lines(task(1, "A")))
    answer = rosas.post(place, {**shown(rosas, place), "choice": "", "do": "check"})
    assert "Give either choice, or both rating_a and rating_b." in text_of(answer)


def test_bad_rows_are_told_by_line_and_the_others_may_come_in(rosas: Client) -> None:
    place = bring(rosas, lines(GOOD, {**GOOD, "choice": "c"}))
    report = check(rosas, place)
    assert "choice is &#x27;c&#x27;: use one of a, b, tie" in report
    assert "Import without the bad rows" in report
    rosas.post(f"{place}check/")
    assert Judgment.objects.count() == 1


def test_bad_rows_come_as_a_table_that_no_spreadsheet_computes(rosas: Client) -> None:
    formula = "=HYPERLINK(1)"

    def row(number: int, verdict: str) -> dict[str, Any]:
        found = task(number, verdict)
        found["annotations"][0]["result"][0]["from_name"] = formula
        return found

    # The first 1,000 rows are looked at, so what the last one says is unknown.
    place = bring(rosas, lines(*[row(n, "A") for n in range(1000)], row(1000, "?")))
    check(rosas, place)
    answer = rosas.get(f"{place}bad-rows.csv")
    table = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
    assert table[0] == ["line", "reason"]
    assert table[1][0] == "1001"
    assert table[1][1].startswith(f"'{formula} is '?'")
    assert answer["Content-Disposition"] == 'attachment; filename="bad-rows.csv"'


def test_a_file_that_cannot_be_read_to_its_end_is_refused(rosas: Client) -> None:
    place = bring(rosas, lines(*[GOOD] * 1000) + b"\xff\n")
    report = check(rosas, place)
    assert "rows.jsonl cannot be read to its end" in report
    assert "m-filled" not in report.partition("<main")[2]


def test_a_file_whose_beginning_cannot_be_read_is_refused_at_once(rosas: Client) -> None:
    answer = rosas.post(UPLOAD, {"file": SimpleUploadedFile("rows.zip", b"PK\x03\x04"), "form": ""})
    assert "rows.zip cannot be read to its end" in text_of(answer)
    assert "a zip archive" in text_of(answer)


def test_the_same_file_again_holds_nothing_new(rosas: Client) -> None:
    place = bring(rosas, lines(GOOD))
    check(rosas, place)
    rosas.post(f"{place}check/")
    assert "There is nothing new in it to import." in check(rosas, bring(rosas, lines(GOOD)))


def test_a_batch_sealed_in_between_is_said(rosas: Client, week: Batch) -> None:
    place = bring(rosas, lines(GOOD))
    check(rosas, place)
    seal_batch(batch=week)
    assert "is sealed and takes nothing more" in text_of(rosas.post(f"{place}check/"))
    assert not Judgment.objects.exists()


def test_prompts_come_into_the_pool(rosas: Client) -> None:
    place = bring(rosas, lines({"prompt": "Why?"}))
    check(rosas, place, focus="safety")
    assert "the pool of prompts" in text_of(rosas.post(f"{place}check/", follow=True))
    assert Prompt.objects.get().focus == "safety"


def test_text_and_names_of_files_are_shown_and_never_obeyed(rosas: Client) -> None:
    row = {**GOOD, "prompt": EVIL, "response_a": EVIL, "comment": EVIL, "annotator": EVIL}
    place = bring(rosas, lines(row, {**row, "choice": EVIL}), name=f"{EVIL}.jsonl")
    pages = [text_of(rosas.get(place)), check(rosas, place)]
    pages.append(text_of(rosas.post(f"{place}check/", follow=True)))
    batch = Batch.objects.get()
    pages.append(text_of(rosas.get(reverse("admin:annotation_batch_change", args=[batch.pk]))))
    assert all(EVIL not in page for page in pages)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[0]


def test_free_names_and_answers_are_shown_and_never_obeyed(rosas: Client) -> None:
    row = task(1, EVIL)
    row["data"][EVIL] = EVIL
    row["annotations"][0]["result"][1]["from_name"] = EVIL
    assert EVIL not in text_of(rosas.get(bring(rosas, lines(row, task(2, "A"), task(3, "B")))))


def test_a_file_lies_under_its_hash_and_only_its_bringer_finds_it(
    rosas: Client, as_user: AsUser, home: Path
) -> None:
    place = bring(rosas, lines(GOOD))
    (kept,) = (home / "imports").iterdir()
    assert re.fullmatch("[0-9a-f]{64}", kept.name)
    assert kept.stat().st_mode & 0o077 == 0
    other = as_user(make_user("rena", role=Role.ADMINISTRATOR, is_staff=True))
    for end in ("", "check/", "done/", "bad-rows.csv"):
        assert other.get(f"{place}{end}").status_code == 404


def test_a_file_is_gone_after_a_day(rosas: Client, home: Path) -> None:
    place = bring(rosas, lines(GOOD))
    (kept,) = (home / "imports").iterdir()
    os.utime(kept, (0, kept.stat().st_mtime - KEEP_SECONDS + 60))
    assert prune_uploads() == 0
    os.utime(kept, (0, kept.stat().st_mtime - 120))
    assert prune_uploads() == 1
    answer = rosas.get(place, follow=True)
    assert answer.redirect_chain == [(UPLOAD, 302)]
    assert "no longer kept" in text_of(answer)


def test_a_file_beyond_the_limit_is_refused_and_nothing_is_kept(
    rosas: Client, home: Path, settings: Settings
) -> None:
    settings.IMPORT_LIMIT = 100
    answer = rosas.post(UPLOAD, {"file": SimpleUploadedFile("rows.jsonl", lines(*[GOOD] * 5))})
    assert "longer than 100 bytes" in text_of(answer)
    assert list((home / "imports").iterdir()) == []


def test_a_reviewer_and_a_stranger_get_no_page(as_user: AsUser, rhea: User, ada: User) -> None:
    for person in (rhea, ada):
        assert as_user(person).get(UPLOAD, follow=True).status_code == 403
    assert Client().get(UPLOAD).status_code == 302


def test_an_import_is_never_made_by_a_link(rosas: Client) -> None:
    place = bring(rosas, lines(GOOD))
    check(rosas, place)
    rosas.get(f"{place}check/")
    assert not Judgment.objects.exists()
    assert rosas.post(f"{place}done/").status_code == 405


def test_a_form_of_another_site_imports_nothing(rosa: User, rosas: Client) -> None:
    place = bring(rosas, lines(GOOD))
    check(rosas, place)
    guarded = Client(enforce_csrf_checks=True)
    guarded.cookies = rosas.cookies
    assert guarded.post(f"{place}check/").status_code == 403
    assert not Judgment.objects.exists()
