"""Attention checks in the admin. Rosa researches, Rhea reviews and does nothing else, Ada and Ben annotate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models import Batch, Comparison, Gold, Role, User
from annotation.tests.checks import RIGHT, answer_checks, make_checks, make_week, wrong
from tests.factories import make_batch, make_comparisons, make_judgment, make_user

AsUser = Callable[[User], Client]
Pairs = Callable[..., list[Comparison]]
CHECKS = "/admin/annotation/gold/"
PAIRS = "/admin/annotation/comparison/"


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def make_path(pair: Comparison) -> str:
    return f"{CHECKS}make/{pair.pk}/"


def test_a_pair_is_made_a_check_from_its_own_page(rosas: Client, rosa: User, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    place = make_path(pair)
    assert f'href="{place}"' in page(rosas, f"{PAIRS}{pair.pk}/change/")
    assert "A first answer to 0." in page(rosas, place)
    form = {"choice": "b", "grade": "", "tolerance": "2", "reason": "Shorter."}
    rosas.post(place, form)
    gold = Gold.objects.get()
    assert (gold.choice, gold.grade, gold.tolerance, gold.reason) == ("b", "", 2, "Shorter.")
    assert (gold.source, gold.created_by) == (pair, rosa)
    assert f"{CHECKS}{gold.pk}/change/" in page(rosas, f"{PAIRS}{pair.pk}/change/")


def test_the_form_begins_with_what_people_agreed_on(rosas: Client, ada: User, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    make_judgment(ada, choice=Choice.B, grade=Grade.BETTER)
    form = rosas.get(make_path(pair)).context["form"]
    assert (form["choice"].value(), form["grade"].value()) == (Choice.B, Grade.BETTER)


@pytest.mark.parametrize(("focus", "asks"), [(Focus.SAFETY, True), (Focus.HELPFULNESS, False)])
def test_only_a_safety_pair_is_asked_for_its_label(
    rosas: Client, pairs: Pairs, focus: Focus, asks: bool
) -> None:
    (pair,) = pairs(1, focus=focus)
    assert ("safety" in rosas.get(make_path(pair)).context["form"].fields) is asks


def test_a_check_is_not_made_twice(rosas: Client, rosa: User, pairs: Pairs) -> None:
    (gold,) = make_checks(1, rosa)
    assert gold.source is not None
    answer = rosas.get(make_path(gold.source), follow=True)
    assert "one was made of it already" in answer.content.decode()
    rosas.post(make_path(gold.source), {"choice": "a", "tolerance": "1"})
    assert Gold.objects.count() == 1


def test_what_the_service_refuses_is_said_at_the_form(rosas: Client, pairs: Pairs) -> None:
    (pair,) = pairs(1)
    Comparison.objects.update(state="withdrawn")
    answer = rosas.post(make_path(pair), {"choice": "a", "tolerance": "1"})
    assert "taken out after a flag" in answer.content.decode()


def test_the_list_says_how_people_do_and_which_check_is_in_doubt(rosas: Client, rosa: User) -> None:
    make_checks(1, rosa)
    make_week(pairs=10)
    for n in range(4):
        answer_checks(make_user(f"person-{n}"), 1, wrong)
    make_checks(1, rosa)
    text = page(rosas, CHECKS)
    assert text.count('data-tone="warn">people disagree with this check') == 1
    assert "A better ± 1" in text
    assert "Question" in text
    found = rosas.get(f"{CHECKS}?doubt=yes").context["cl"].queryset
    assert [gold.careful_n for gold in found] == [4]


def test_a_check_is_retired_and_drawn_again(rosas: Client, rosa: User) -> None:
    (gold,) = make_checks(1, rosa)
    assert "/retire/" in page(rosas, f"{CHECKS}{gold.pk}/change/")
    rosas.post(f"{CHECKS}{gold.pk}/retire/")
    assert not Gold.objects.get().active
    assert "/activate/" in page(rosas, f"{CHECKS}{gold.pk}/change/")
    rosas.post(f"{CHECKS}{gold.pk}/activate/")
    assert Gold.objects.get().active
    assert rosas.get(f"{CHECKS}{gold.pk}/retire/").status_code == 405


@pytest.fixture
def agreed(ada: User, ben: User) -> Batch:
    """An open week in which three people judged four pairs alike."""
    batch = make_batch(overlap=3)
    make_comparisons(batch, 4)
    for person in (ada, ben, make_user("cleo")):
        for _ in range(4):
            make_judgment(person, choice=Choice.A, grade=Grade.SIGNIFICANTLY_BETTER)
    return batch


def test_pairs_are_promoted_in_bulk(rosas: Client, agreed: Batch) -> None:
    assert page(rosas, f"{CHECKS}promote/").count("A significantly better") == 4
    rosas.post(f"{CHECKS}promote/?batch={agreed.pk}", {"limit": "3"})
    assert Gold.objects.filter(origin=Gold.Origin.PROMOTED).count() == 3
    assert page(rosas, f"{CHECKS}promote/").count("A significantly better") == 1


def test_a_week_without_candidates_says_what_would_yield_some(rosas: Client, week: Batch) -> None:
    assert "Weeks with an overlap of 3 or more" in page(rosas, f"{CHECKS}promote/")
    answer = rosas.post(f"{CHECKS}promote/?batch={week.pk}", {"limit": "3"})
    assert "No pair of" in answer.content.decode()


def test_a_week_that_does_not_exist_is_not_found(rosas: Client, week: Batch) -> None:
    assert rosas.get(f"{CHECKS}promote/?batch=999").status_code == 404


def test_without_a_week_there_is_nothing_to_promote(rosas: Client) -> None:
    answer = rosas.get(f"{CHECKS}promote/", follow=True)
    assert "No week has been judged yet" in answer.content.decode()


def test_the_list_asks_no_more_for_many_checks_than_for_few(
    rosas: Client, rosa: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_checks(12, rosa)
    with django_assert_max_num_queries(7):
        page(rosas, CHECKS)


def test_checks_are_told_from_other_pairs_in_the_list_of_comparisons(rosas: Client, rosa: User) -> None:
    make_checks(2, rosa)
    make_week(pairs=3)
    found = {
        answer: rosas.get(f"{PAIRS}?check={answer}").context["cl"].result_count for answer in ("yes", "no")
    }
    assert found == {"yes": 2, "no": 5}


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.REVIEWER])
def test_checks_are_for_researchers_alone(as_user: AsUser, role: Role, rosa: User) -> None:
    (gold,) = make_checks(1, rosa, RIGHT)
    client = as_user(make_user("rhea", role=role))
    for path in ("", "promote/", f"make/{gold.source_id}/", f"{gold.pk}/change/"):
        assert client.get(CHECKS + path, follow=True).status_code == 403, path
    assert client.post(f"{CHECKS}{gold.pk}/retire/", follow=True).status_code == 403
    assert Gold.objects.get().active


def test_a_safety_check_shows_its_label(rosas: Client, pairs: Pairs) -> None:
    (pair,) = pairs(1, focus=Focus.SAFETY)
    rosas.post(make_path(pair), {"choice": "a", "grade": "better", "tolerance": "0", "safety": "both_unsafe"})
    assert Gold.objects.get().safety == SafetyLabel.BOTH_UNSAFE
    assert "A better, both unsafe" in page(rosas, CHECKS)
