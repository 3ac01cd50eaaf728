"""What the admin shows and does about promotions. Rosa researches, Rhea reviews."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.models import User
from rewardmodel.models import Promotion, RewardModelVersion
from rewardmodel.tests.promoted import trained
from rewardmodel.tests.scores import make_version

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def place(name: str, version: RewardModelVersion) -> str:
    return reverse(f"admin:rewardmodel_rewardmodelversion_{name}", args=(version.pk,))


def page(client: Client, version: RewardModelVersion) -> str:
    answer = client.get(place("change", version))
    assert answer.status_code == 200
    return answer.content.decode()


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def press(client: Client, name: str, version: RewardModelVersion, **data: Any) -> str:
    """What the page says that comes after the button."""
    return client.post(place(name, version), data, follow=True).content.decode()


def test_the_list_marks_the_current_one_of_each_focus(rosas: Client) -> None:
    first = trained("h1")
    trained("h2", against=first, drawn=40)
    rows = rosas.get(reverse("admin:rewardmodel_rewardmodelversion_changelist")).content.decode()
    marked = [row for row in rows.split("<tr")[1:] if 'data-tone="good">current<' in row]
    assert [re.findall(r">\s*(h\d)\s*<", row) for row in marked] == [["h2"]]


def test_a_waiting_version_shows_the_comparison_grade_by_grade_and_why_it_waits(rosas: Client) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    text = words(page(rosas, second))
    assert "Against the current one" in text
    assert "It is worse beyond the interval: “better”" in text
    assert "better 40 pairs 0.0 % against 100.0 %" in text
    assert "all grades 40 pairs" in text
    assert "Promote anyway…" in text
    assert "by its training" in text


def test_a_version_that_passes_has_the_button_that_promotes_it(rosas: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    press(rosas, "roll_back", second)
    assert place("promote", second) in page(rosas, second)
    assert "h2 is the current helpfulness model." in press(rosas, "promote", second)
    assert Promotion.objects.first().how == "rule"  # type: ignore[union-attr]


def test_one_click_rolls_back(rosas: Client) -> None:
    first = trained("h1")
    second = trained("h2", against=first, drawn=40)
    assert "h1 is the current helpfulness model again." in press(rosas, "roll_back", second)
    assert Promotion.objects.first().version == first  # type: ignore[union-attr]
    assert place("roll_back", first) not in page(rosas, first)


def test_a_version_that_was_not_compared_says_what_to_do(rosas: Client) -> None:
    trained("h1")
    text = words(page(rosas, trained("h2")))
    assert "It was not compared with h1" in text
    assert "Compare the two" in text


def test_promoting_against_the_rule_asks_why_and_shows_the_figures(rosas: Client) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    form = words(rosas.get(place("override", second)).content.decode())
    assert "Takes the place of h1" in form
    assert "40 pairs. Worse: all of the interval lies below 0." in form
    press(rosas, "override", second, reason="")
    assert Promotion.objects.count() == 1
    after = words(press(rosas, "override", second, reason="Needed for the new policy."))
    assert "h2 is the current helpfulness model." in after
    assert "Needed for the new policy." in after


def test_there_is_nothing_to_override_on_the_current_one(rosas: Client) -> None:
    first = trained("h1")
    answer = rosas.get(place("override", first), follow=True).content.decode()
    assert "is the current helpfulness model already" in answer


def test_what_the_rule_refuses_is_said_and_nothing_is_done(rosas: Client) -> None:
    second = trained("h2", against=trained("h1"), lost=40)
    assert "h2 was not promoted. It is worse" in press(rosas, "promote", second)
    assert Promotion.objects.count() == 1


def test_the_page_of_the_current_one_shows_what_its_promotion_rested_on(rosas: Client) -> None:
    second = trained("h2", against=trained("h1"), drawn=40)
    text = words(page(rosas, second))
    assert "The current helpfulness model" in text
    assert "On the test pairs of week-1, as it was when it was promoted." in text
    assert "h2" in text.partition("Promotions of helpfulness models")[2]


def test_a_house_without_a_current_one_says_so(rosas: Client) -> None:
    version = make_version("old")
    text = words(page(rosas, version))
    assert "No helpfulness model is current yet. Promote this one to have it used." in text
    assert "None yet. The first helpfulness model that a run trains becomes current by itself" in text
    press(rosas, "promote", version)
    assert Promotion.objects.get().version == version


def test_hostile_reasons_are_shown_and_not_run(rosas: Client) -> None:
    trained("h1")
    second = trained("h2")
    press(rosas, "override", second, reason="<script>alert(1)</script>")
    text = page(rosas, second)
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("name", ["promote", "override", "roll_back"])
def test_only_researchers_decide(as_user: AsUser, rhea: User, name: str) -> None:
    first = trained("h1")
    client = as_user(rhea)
    assert client.post(place(name, first), {"reason": "x"}).status_code in (302, 403)
    assert Promotion.objects.count() == 1


@pytest.mark.parametrize("name", ["promote", "roll_back"])
def test_looking_changes_nothing(rosas: Client, name: str) -> None:
    assert rosas.get(place(name, trained("h1"))).status_code == 405


def test_a_long_history_costs_no_more_queries(
    rosas: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    versions = [trained("h0")]
    for number in range(1, 12):
        versions.append(trained(f"h{number}", against=versions[-1], drawn=40))
    page(rosas, versions[-1])
    with django_assert_max_num_queries(9):
        page(rosas, versions[-1])
