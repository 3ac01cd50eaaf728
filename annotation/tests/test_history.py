"""What somebody said, newest first. Ada looks back; Ben's work is not hers."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from annotation import history
from annotation.core.grades import Choice, Focus, Grade
from annotation.core.passes import PassReason
from annotation.history import history_of
from annotation.models import Comparison, Judgment, Pass, User
from annotation.services.allocation import lease_next
from annotation.services.judgments import Answer, retract_judgment, submit_judgment
from annotation.services.passes import pass_on, retract_pass
from tests.factories import make_judgment

Pairs = Callable[..., list[Comparison]]


def skipped(annotator: User) -> Pass:
    (pair,) = lease_next(annotator=annotator)
    return pass_on(annotator=annotator, comparison_key=pair.key, uid=uuid4(), reason=PassReason.LANGUAGE)


def uids(annotator: User, **wanted: str) -> list[UUID]:
    return [entry.row.uid for entry in history_of(annotator, **wanted).entries]


def test_judgments_and_passes_stand_in_one_list_newest_first(ada: User, ben: User, pairs: Pairs) -> None:
    pairs(4)
    made = [make_judgment(ada).uid, skipped(ada).uid, make_judgment(ada).uid]
    make_judgment(ben)
    assert uids(ada) == made[::-1]


def test_what_was_replaced_or_taken_back_is_not_listed(ada: User, pairs: Pairs) -> None:
    (first, *_) = pairs(3)
    make_judgment(ada)
    answer = Answer(choice=Choice.B, grade=Grade.BETTER)
    again = submit_judgment(annotator=ada, comparison_key=first.key, uid=uuid4(), answer=answer)
    retract_judgment(annotator=ada, uid=make_judgment(ada).uid)
    retract_pass(annotator=ada, uid=skipped(ada).uid)
    assert uids(ada) == [again.uid]


def test_it_is_searched_by_prompt_and_by_focus(ada: User, pairs: Pairs) -> None:
    pairs(1)
    pairs(1, focus=Focus.SAFETY)
    first, second = make_judgment(ada), make_judgment(ada)
    assert uids(ada, focus="safety") == [second.uid]
    assert uids(ada, text="ABOUT HELPF") == [first.uid]
    assert uids(ada, text="100%") == []


@pytest.mark.parametrize("same_moment", [True, False])
def test_pages_go_on_where_the_last_one_ended(
    ada: User, pairs: Pairs, monkeypatch: pytest.MonkeyPatch, same_moment: bool
) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    pairs(7)
    made = {(skipped if n % 2 else make_judgment)(ada).uid for n in range(7)}
    if same_moment:
        for model in (Judgment, Pass):
            model.objects.update(created_at=timezone.now())
    seen: list[UUID] = []
    page = history_of(ada)
    while page.older:
        seen += [entry.row.uid for entry in page.entries]
        assert len(page.entries) == 2
        page = history_of(ada, after=page.older)
    seen += [entry.row.uid for entry in page.entries]
    assert len(seen) == 7
    assert set(seen) == made


@pytest.mark.parametrize("cursor", ["x", "9" * 30 + "j1", "1j", "-1j1", "1q1", "1j\u0661"])
def test_what_is_no_cursor_begins_at_the_newest(ada: User, pairs: Pairs, cursor: str) -> None:
    pairs(1)
    judgment = make_judgment(ada)
    assert uids(ada, after=cursor) == [judgment.uid]


def test_a_page_costs_two_queries_however_long_it_is(
    ada: User, pairs: Pairs, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pairs(8)
    for n in range(8):
        (skipped if n % 2 else make_judgment)(ada)
    with django_assert_num_queries(2):
        for entry in history_of(ada, text="question").entries:
            assert entry.prompt
            assert entry.row.comparison.batch.name
            assert entry.is_open
