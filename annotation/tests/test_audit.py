"""Who did what when: written with each deed, read and exported in the admin. Rosa researches, Ada annotates."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import pkgutil
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

import annotation.services
from annotation.auditing import Search, events, every_event
from annotation.core.audit import GROUPS, PHRASES, actions_of, detail_words, safe_cell, sentence
from annotation.core.grades import Focus
from annotation.models import AuditEvent, Batch, Role, User
from annotation.services import audit
from annotation.services.audit import record
from annotation.services.guidelines import add_guideline
from annotation.services.people import pause_person
from tests.factories import make_user

AsUser = Callable[[User], Client]
AUDIT = "/admin/annotation/auditevent/"
ROOT = Path(annotation.services.__file__).resolve().parent.parent.parent

# Services that take `by` and write no line, and why.
SILENT = {
    "annotation.services.audit.record": "it is what writes the lines",
}


# Every deed leaves a line


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(annotation.services.__path__):
        yield import_module(f"annotation.services.{found.name}")


def doors() -> Iterator[FunctionType]:
    """The public services that are told who does it."""
    for module in modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and inspect.isfunction(value) and value.__module__ == module.__name__:
                function = inspect.unwrap(value)
                if "by" in inspect.signature(function).parameters:
                    yield function


def writes(function: FunctionType, seen: set[FunctionType]) -> bool:
    """Whether it calls `record`, itself or by way of another service."""
    if function in seen:
        return False
    seen.add(function)
    for name in function.__code__.co_names:
        called: Any = function.__globals__.get(name)
        called = inspect.unwrap(called) if callable(called) else None
        if called is audit.record:
            return True
        is_ours = inspect.isfunction(called) and called.__module__.startswith("annotation.services")
        if is_ours and writes(called, seen):
            return True
    return False


def test_every_service_that_is_told_who_does_it_writes_a_line() -> None:
    silent = {f"{one.__module__}.{one.__name__}" for one in doors() if not writes(one, set())}
    assert silent == set(SILENT)


def test_that_finds_the_services_there_are() -> None:
    names = {one.__name__ for one in doors()}
    assert {
        "seal_batch",
        "pause_person",
        "handle_flag",
        "add_gold",
        "approve_judgment",
        "add_guideline",
    } <= names


def named() -> Iterator[str]:
    """Every action that the services name: what stands in a call of `record`, and what looks like it."""
    looks = re.compile(rf"({'|'.join(GROUPS)})\.[a-z_]+")
    places = ("annotation/services", "training/services", "rewardmodel", "frontend")
    skipped = {"tests", "migrations"}
    files = (path for place in places for path in (ROOT / place).rglob("*.py"))
    for path in (path for path in files if not skipped.intersection(path.parts)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "record":
                yield from (word for word in words_in(node.args[0]) if "." in word)
            yield from (word for word in words_in(node, deep=False) if looks.fullmatch(word))


def words_in(node: ast.AST, *, deep: bool = True) -> Iterator[str]:
    for one in ast.walk(node) if deep else [node]:
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def test_every_action_has_its_words() -> None:
    """A name that ends in a dot goes on with a state or a decision. Names of log lines and tasks look alike."""
    found = {word for word in named() if not word.endswith(".")} - {"batch.not_moved"}
    assert len(found) > 20
    assert found - set(PHRASES) == set(), "say in annotation/core/audit.py how these are read"


def test_every_group_can_be_asked_for_and_none_is_empty() -> None:
    assert {action.partition(".")[0] for action in PHRASES} == set(GROUPS)
    assert all(actions_of(group) for group in GROUPS)


# Words


@pytest.mark.parametrize(
    ("action", "actor", "expected"),
    [
        ("batch.sealed", "rosa", ("rosa sealed ", "")),
        ("gold.promoted", "rosa", ("rosa promoted pairs of ", " to checks")),
        ("person.paused", "", ("The house paused ", "")),
        ("kettle.boiled_over", "rosa", ("rosa boiled over ", "")),
    ],
)
def test_a_line_is_a_sentence(action: str, actor: str, expected: tuple[str, str]) -> None:
    assert sentence(action, actor) == expected


def test_what_was_changed_is_read_in_a_line() -> None:
    detail = {
        "gold_rate": ["0.0", "0.05"],
        "reason": "Ill.",
        "count": 3,
        "languages": ["en", "fr", "de"],
        "x": None,
    }
    expected = 'gold rate: 0.0 → 0.05 · reason: Ill. · count: 3 · languages: ["en", "fr", "de"] · x: —'
    assert detail_words(detail) == expected


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", "  =1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Week 3", "1-1", "a=b", "'=1"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


# Searching


@pytest.fixture
def story(week: Batch, rosa: User, ada: User) -> list[AuditEvent]:
    """What four people, one of whom is the house, did on three days; the oldest first."""
    AuditEvent.objects.filter().all()._raw_delete(using="default")
    deeds = (
        (1, "batch.planned", week, rosa),
        (2, "person.paused", ada, None),
        (3, "batch.sealed", week, rosa),
    )
    made = []
    for day, action, of, by in deeds:
        with time_machine.travel(datetime(2026, 3, day, 12, tzinfo=UTC), tick=False):
            made.append(record(action, of, by=by))
    return made


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), [2, 1, 0]),
        (Search(group="batch"), [2, 0]),
        (Search(group="kettle"), []),
        (Search(actor=0), [1]),
        (Search(text="WEEK"), [2, 0]),
        (Search(since=datetime(2026, 3, 2, tzinfo=UTC).date()), [2, 1]),
        (Search(until=datetime(2026, 3, 2, tzinfo=UTC).date()), [1, 0]),
        (Search(since=datetime(2026, 3, 4, tzinfo=UTC).date()), []),
        (Search(until=datetime(2026, 2, 1, tzinfo=UTC).date()), []),
    ],
)
def test_lines_are_found_by_what_who_when_and_name(
    story: list[AuditEvent], search: Search, found: list[int]
) -> None:
    expected = [story[number] for number in found]
    assert events(search) == expected
    assert list(every_event(search)) == expected


def test_lines_of_one_actor_are_found(story: list[AuditEvent], rosa: User) -> None:
    assert events(Search(actor=rosa.pk)) == [story[2], story[0]]


def test_nothing_is_found_in_an_empty_audit(db: None) -> None:
    assert events(Search(since=timezone.localdate())) == []


def test_a_long_export_is_read_piece_by_piece(
    story: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.auditing.PIECE", 2)
    assert list(every_event(Search())) == story[::-1]


# The page


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def page(client: Client, query: str = "") -> str:
    answer = client.get(AUDIT + query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def test_the_page_reads_as_sentences_with_links(rosas: Client, story: list[AuditEvent], week: Batch) -> None:
    text = page(rosas)
    place = f"/admin/annotation/batch/{week.pk}/change/"
    assert f'rosa sealed <a href="{place}">{week}</a>' in text
    assert "The house paused" in text


def test_the_page_is_narrowed_and_says_so(rosas: Client, story: list[AuditEvent]) -> None:
    text = page(rosas, "?group=person&actor=0&since=2026-03-01&until=2026-03-05")
    assert "The house paused" in text
    assert "rosa sealed" not in text
    assert "Nothing fits that." in page(rosas, "?text=zebra")


@pytest.mark.parametrize("query", ["?group=x", "?actor=x", "?actor=99", "?since=x", "?before=x", "?before=²"])
def test_what_is_no_search_finds_everything(rosas: Client, story: list[AuditEvent], query: str) -> None:
    assert "rosa sealed" in page(rosas, query)


def test_older_lines_stand_on_the_next_page(
    rosas: Client, story: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.admin.audit.PAGE", 2)
    text = page(rosas, "?until=2026-03-09")
    place = f"?until=2026-03-09&amp;before={story[1].pk}"
    assert f'rel="next" href="{place}"' in text
    assert "rosa planned" not in text
    older = page(rosas, place.replace("&amp;", "&"))
    assert "rosa planned" in older
    assert 'href="?until=2026-03-09">Newest' in older


def test_a_page_asks_no_more_for_many_lines_than_for_few_and_counts_nothing(
    rosas: Client, week: Batch, rosa: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(60):
        record("batch.changed", week, by=rosa)
    with django_assert_max_num_queries(4) as asked:
        page(rosas)
    assert not [query["sql"] for query in asked.captured_queries if "COUNT(" in query["sql"]]


def exported(client: Client, query: str = "") -> list[list[str]]:
    answer: Any = client.get(f"{AUDIT}export/{query}")
    assert answer.status_code == 200
    assert answer.streaming
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_the_export_is_streamed_and_holds_what_was_searched(rosas: Client, story: list[AuditEvent]) -> None:
    rows = exported(rosas, "?group=batch")
    assert rows[0] == ["at", "actor", "action", "object type", "object", "name", "detail"]
    assert [row[2] for row in rows[1:]] == ["batch.sealed", "batch.planned"]
    assert rows[1][:2] == ["2026-03-03T12:00:00+00:00", "rosa"]


def test_the_export_holds_no_formula(rosas: Client, rosa: User) -> None:
    evil = make_user("=cmd|'/c calc'!A0")
    pause_person(person=evil, reason='=HYPERLINK("http://x")', by=rosa)
    (row,) = [row for row in exported(rosas) if row[2] == "person.paused"]
    assert row[5] == "'=cmd|'/c calc'!A0"
    assert not any(cell.startswith("=") for cell in row)


def test_hostile_words_are_shown_and_not_run(rosas: Client, rosa: User) -> None:
    pause_person(person=make_user("<script>alert(1)</script>"), reason="<b>x</b>", by=rosa)
    text = page(rosas)
    assert "<script>alert(1)" not in text
    assert "<b>x</b>" not in text


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.REVIEWER])
def test_the_audit_is_for_researchers(db: None, as_user: AsUser, role: Role) -> None:
    client = as_user(make_user("somebody", role=role))
    for path in (AUDIT, f"{AUDIT}export/"):
        assert client.get(path, follow=True).status_code == 403


def test_nothing_is_added_changed_or_deleted_by_hand(rosas: Client, story: list[AuditEvent]) -> None:
    pk = story[0].pk
    for path in ("", "add/", f"{pk}/change/", f"{pk}/delete/"):
        rosas.post(AUDIT + path, {"action": "delete_selected", "_selected_action": pk, "post": "yes"})
        assert path == "" or rosas.get(AUDIT + path).status_code == 403, path
    assert list(AuditEvent.objects.order_by("pk")) == story
    assert AuditEvent.objects.count() == 3


def test_a_line_is_never_changed_or_deleted(story: list[AuditEvent]) -> None:
    row = story[0]
    for do in (
        row.save,
        row.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(action="x"),
    ):
        with pytest.raises(TypeError, match="append-only"):
            do()


def test_a_deed_that_fails_leaves_no_line(rosa: User, ada: User) -> None:
    before = AuditEvent.objects.count()
    with pytest.raises(Exception, match="Say why"):
        pause_person(person=ada, reason=" ", by=rosa)
    assert AuditEvent.objects.count() == before


def test_new_guidelines_are_noted(rosa: User) -> None:
    row = add_guideline(focus=Focus.HELPFULNESS, text="Rules.", by=rosa)
    assert AuditEvent.objects.get().object_name == str(row)
    add_guideline(focus=Focus.HELPFULNESS, text="Rules.", by=rosa)
    assert AuditEvent.objects.count() == 1, "the same text again changes nothing"


def test_the_links_lead_only_where_one_may_go(as_user: AsUser, rosa: User) -> None:
    """Invitations are for administrators: a researcher reads the line and gets no link."""
    AuditEvent.objects.create(
        action="invitation.made", object_type="invitation", object_id="7", object_name="Cleo"
    )
    boss = make_user("boss", role=Role.ADMINISTRATOR, is_staff=True)
    place = 'href="/admin/annotation/invitation/7/change/"'
    assert place not in page(as_user(rosa))
    assert place in page(as_user(boss))


def test_days_are_meant_in_the_zone_of_the_site(week: Batch, rosa: User) -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for hours in (-13, 0, 13):
        with time_machine.travel(noon + timedelta(hours=hours), tick=False):
            record("batch.changed", week, by=rosa)
    day = noon.date()
    assert len(events(Search(group="batch", since=day, until=day))) == 1
