"""Rosa finds the pairs whose answer names its model; Ada is told nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.models import Comparison, Response, User

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]
Pairs = Callable[..., list[Comparison]]


@pytest.fixture
def told(pairs: Pairs) -> Comparison:
    """The first of three pairs: one of its answers named its model."""
    told = pairs(3)[0]
    Response.objects.filter(pk=told.response_b_id).update(leak="I am Marvin")
    return told


def listed(client: Client, name: str, **query: str) -> tuple[int, str]:
    """How many rows a list has, and its page."""
    answer = client.get(reverse(f"admin:annotation_{name}_changelist"), query)
    return answer.context["cl"].result_count, answer.content.decode()


@pytest.mark.parametrize(("name", "leaking", "silent"), [("response", 1, 5), ("comparison", 1, 2)])
def test_rows_that_name_their_model_are_found(
    as_user: AsUser, rosa: User, told: Comparison, name: str, leaking: int, silent: int
) -> None:
    client = as_user(rosa)
    assert listed(client, name)[0] == leaking + silent
    assert listed(client, name, leak="no")[0] == silent
    count, text = listed(client, name, leak="yes")
    assert count == leaking
    assert "I am Marvin" in text


def test_the_list_of_pairs_costs_as_many_queries_for_many(
    as_user: AsUser, rosa: User, told: Comparison, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = as_user(rosa)
    with django_assert_max_num_queries(12):
        listed(client, "comparison")


def test_the_page_of_a_pair_says_it_beside_the_answer(as_user: AsUser, rosa: User, told: Comparison) -> None:
    answer = as_user(rosa).get(reverse("admin:annotation_comparison_change", args=(told.pk,)))
    assert "names its model: “I am Marvin”" in answer.content.decode()


def test_nothing_of_it_reaches_who_rates(as_user: AsUser, ada: User, told: Comparison) -> None:
    client = as_user(ada)
    answers = [client.get(reverse("api:next"), {"count": 3}), client.get(reverse("frontend:rate"))]
    assert answers[0].content.count(b'"left"') == 3
    assert all(b"Marvin" not in answer.content for answer in answers)
