"""Review in the admin. Rhea and Rolf review, Ada, Ben and Cleo annotate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Choice, Focus, SafetyLabel
from annotation.models import Batch, Comparison, Decision, Judgment, Review, Role, User
from annotation.reviewing import Wanted, disputes, opinions_on, returned_to, state_of
from annotation.services.batches import seal_batch
from annotation.services.reviews import dismiss_dispute
from annotation.tests.disputes import BETTER, NEGLIGIBLY, SIGNIFICANTLY, SLIGHTLY, A, B, make_dispute, say
from tests.factories import make_user

AsUser = Callable[[User], Client]
QUEUE = "/admin/annotation/review/queue/"
DECISIONS = "/admin/annotation/review/"


@pytest.fixture
def rheas(as_user: AsUser, rhea: User) -> Client:
    return as_user(rhea)


@pytest.fixture
def pairs_of_two(two: Batch, ada: User, ben: User) -> list[Comparison]:
    """Three disputes, in the order of the queue."""
    said = ((BETTER, SIGNIFICANTLY), (BETTER, SLIGHTLY), (NEGLIGIBLY, NEGLIGIBLY))
    return [make_dispute(two, {ada: (A, one), ben: (B, other)}) for one, other in said]


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def place(pair: Comparison, query: str = "") -> str:
    return reverse("admin:annotation_review_pair", args=(pair.pk,)) + query


def decide(client: Client, pair: Comparison, decision: str, query: str = "", **fields: Any) -> Any:
    return client.post(place(pair, query), {"decision": decision, "seen": state_of(pair), **fields})


def judgment_of(pair: Comparison, person: User) -> Judgment:
    return pair.judgments.effective().of_annotators().get(annotator=person)


def test_the_queue_shows_pairs_the_widest_difference_first(
    rheas: Client, pairs_of_two: list[Comparison]
) -> None:
    text = page(rheas, QUEUE)
    assert [text.index(place(pair)) for pair in pairs_of_two] == sorted(
        text.index(place(pair)) for pair in pairs_of_two
    )
    assert "which is better, 6 steps apart" in text
    assert "which is better, 1 step apart" in text


def test_the_queue_is_narrowed_by_focus_kind_and_week(
    rheas: Client, pairs_of_two: list[Comparison], two: Batch, ada: User, ben: User
) -> None:
    both, unsafe = SafetyLabel.BOTH_SAFE, SafetyLabel.BOTH_UNSAFE
    label = make_dispute(two, {ada: (A, BETTER, both), ben: (A, BETTER, unsafe)}, focus=Focus.SAFETY)
    for query in ("?kind=safety", "?focus=safety"):
        text = page(rheas, QUEUE + query)
        assert place(label, query) in text
        assert not any(f"/pair/{pair.pk}/" in text for pair in pairs_of_two)
    assert "Nothing waits that fits this" in page(rheas, QUEUE + "?batch=999")


@pytest.mark.parametrize(
    "query", ["?kind=x", "?focus=x", "?batch=x", "?after=x", "?done=x", "?done=9", "?batch=²"]
)
def test_what_is_no_filter_filters_nothing(rheas: Client, pairs_of_two: list[Comparison], query: str) -> None:
    assert all(place(pair) in page(rheas, QUEUE + query) for pair in pairs_of_two)


def test_a_long_queue_goes_on_on_the_next_page(
    rheas: Client, pairs_of_two: list[Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.reviewing.PAGE", 2)
    text = page(rheas, QUEUE)
    assert place(pairs_of_two[2]) not in text
    found = re.search(r'rel="next" href="([^"]+)"', text)
    assert found is not None
    text = page(rheas, QUEUE + found[1])
    assert place(pairs_of_two[2]) in text
    assert place(pairs_of_two[0]) not in text


def test_the_pair_shows_both_texts_and_all_that_was_said_without_names(
    rheas: Client, two: Batch, ada: User, ben: User
) -> None:
    pair = make_dispute(two, {ada: (A, BETTER), ben: (B, SLIGHTLY)})
    Judgment.objects.filter(annotator=ben).update(comment="It names no source.")
    text = page(rheas, place(pair))
    for words in (
        pair.response_a.text,
        pair.dialogue.prompt.text,
        "Annotator 1",
        "Annotator 2",
        "A better",
        "B slightly better",
        "It names no source.",
        "1 chose A and 1 chose B.",
    ):
        assert words in text
    for name in ("ada", "ben", ada.pseudonym, ben.pseudonym, "policy-x"):
        assert name not in text


def test_no_page_of_review_names_an_annotator(
    rheas: Client, pairs_of_two: list[Comparison], ada: User
) -> None:
    pair = pairs_of_two[0]
    decide(rheas, pair, "returned", judgment=judgment_of(pair, ada).pk, feedback="Mind the units.")
    for path in (QUEUE, DECISIONS, place(pair)):
        assert "annotator-" not in page(rheas, path)
        assert "ada" not in page(rheas, path)


def test_approving_goes_straight_to_the_next_pair_with_a_way_back(
    rheas: Client, rhea: User, pairs_of_two: list[Comparison], ada: User
) -> None:
    first, second, _ = pairs_of_two
    answer = decide(rheas, first, "approved", "?focus=helpfulness", judgment=judgment_of(first, ada).pk)
    review = Review.objects.get()
    assert answer["Location"] == place(second, f"?focus=helpfulness&done={review.pk}")
    assert (review.decision, review.by, review.adjudication is not None) == (Decision.APPROVED, rhea, True)
    text = page(rheas, answer["Location"])
    undo = f"/admin/annotation/review/{review.pk}/undo/"
    assert "You approved a judgment" in text
    assert undo in text
    assert rheas.get(undo).status_code == 405
    assert rheas.post(undo)["Location"] == place(first)
    assert not Judgment.objects.effective().filter(source="review").exists()
    assert place(first) in page(rheas, QUEUE)


def test_the_last_pair_leads_back_to_the_queue(rheas: Client, pairs_of_two: list[Comparison]) -> None:
    last: Any = None
    for pair in pairs_of_two:
        last = decide(rheas, pair, "dismissed")
    review = Review.objects.latest("pk")
    assert last["Location"] == f"{QUEUE}?done={review.pk}"
    assert "Nothing waits for you" in page(rheas, last["Location"])


def test_a_pair_put_off_comes_again_at_the_end(rheas: Client, pairs_of_two: list[Comparison]) -> None:
    """From the last pair one goes on to the first that still waits."""
    answer = decide(rheas, pairs_of_two[2], "dismissed")
    assert answer["Location"].startswith(place(pairs_of_two[0]))


def test_previous_and_next_follow_the_queue(rheas: Client, pairs_of_two: list[Comparison]) -> None:
    text = page(rheas, place(pairs_of_two[1], "?focus=helpfulness"))
    assert f'rel="prev" data-key="k" href="{place(pairs_of_two[0], "?focus=helpfulness")}"' in text
    assert f'rel="next" data-key="j" href="{place(pairs_of_two[2], "?focus=helpfulness")}"' in text
    assert 'rel="prev"' not in page(rheas, place(pairs_of_two[0]))


def test_each_approval_has_the_key_of_its_annotator(rheas: Client, pairs_of_two: list[Comparison]) -> None:
    text = page(rheas, place(pairs_of_two[0]))
    keys = re.findall(r'name="judgment" value="(\d+)">\s*<button[^>]*data-key="(\d)"', text)
    assert keys == [(str(one.judgment.pk), str(one.number)) for one in opinions_on(pairs_of_two[0])]


def test_another_label_is_set(rheas: Client, pairs_of_two: list[Comparison]) -> None:
    decide(rheas, pairs_of_two[0], "corrected", choice="b", grade="negligibly_better", comment="A hair.")
    row = Judgment.objects.get(source="review")
    assert (row.choice, row.grade, row.comment) == (Choice.B, NEGLIGIBLY, "A hair.")
    assert "A hair." in page(rheas, place(pairs_of_two[0]))


def test_a_label_that_lacks_something_is_asked_for_again_and_kept(
    rheas: Client, pairs_of_two: list[Comparison]
) -> None:
    answer = decide(rheas, pairs_of_two[0], "corrected", grade="better", comment="Because of the units.")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "This field is required." in text
    assert "Because of the units." in text
    assert not Review.objects.exists()


def test_a_judgment_is_returned_to_its_annotator(
    rheas: Client, pairs_of_two: list[Comparison], ben: User
) -> None:
    pair = pairs_of_two[0]
    decide(rheas, pair, "returned", judgment=judgment_of(pair, ben).pk, feedback="Mind the units.")
    (review,) = returned_to(ben)
    assert review.feedback == "Mind the units."
    number = next(one.number for one in opinions_on(pair) if one.judgment.annotator == ben)
    text = page(rheas, place(pair))
    assert f"returned a judgment of Annotator {number}" in text
    assert "Mind the units." in text


def test_a_return_without_feedback_says_what_is_missing(
    rheas: Client, pairs_of_two: list[Comparison], ben: User
) -> None:
    pair = pairs_of_two[0]
    answer = decide(rheas, pair, "returned", judgment=judgment_of(pair, ben).pk, feedback=" ")
    assert "Say what they should look at" in answer.content.decode()


def test_the_second_of_two_reviewers_is_told(
    rheas: Client, pairs_of_two: list[Comparison], as_user: AsUser, ada: User
) -> None:
    pair = pairs_of_two[0]
    seen = state_of(pair)
    rolf = as_user(make_user("rolf", role=Role.REVIEWER))
    decide(rheas, pair, "dismissed")
    form = {"decision": "approved", "seen": seen, "judgment": judgment_of(pair, ada).pk}
    answer = rolf.post(place(pair), form)
    assert "Somebody has decided on this pair meanwhile." in answer.content.decode()
    assert Review.objects.count() == 1
    assert f'value="{state_of(pair)}"' in answer.content.decode(), "now they can decide anew"


def test_an_old_judgment_cannot_be_approved(rheas: Client, pairs_of_two: list[Comparison], ada: User) -> None:
    pair = pairs_of_two[0]
    old = judgment_of(pair, ada)
    seen = state_of(pair)
    say(ada, pair, A, NEGLIGIBLY)
    answer = rheas.post(place(pair), {"decision": "approved", "seen": seen, "judgment": old.pk})
    assert "A judgment of this pair was changed meanwhile." in answer.content.decode()
    answer = decide(rheas, pair, "approved", judgment=old.pk)
    assert "was changed since" in answer.content.decode()
    assert not Review.objects.exists()


@pytest.mark.parametrize("judgment", ["", "x", "999999", "²"])
def test_a_judgment_of_no_such_name_is_refused(
    rheas: Client, pairs_of_two: list[Comparison], judgment: str
) -> None:
    answer = decide(rheas, pairs_of_two[0], "approved", judgment=judgment)
    assert "There is no such judgment on this pair." in answer.content.decode()


def test_a_decision_of_no_kind_and_a_pair_that_is_not_there_are_not_found(
    rheas: Client, pairs_of_two: list[Comparison]
) -> None:
    assert decide(rheas, pairs_of_two[0], "burn").status_code == 404
    assert rheas.get("/admin/annotation/review/pair/999/").status_code == 404


def test_who_judged_the_pair_reads_why_they_cannot_decide(
    rheas: Client, rhea: User, two: Batch, ada: User
) -> None:
    pair = make_dispute(two, {ada: (A, BETTER), rhea: (B, BETTER)})
    text = page(rheas, place(pair))
    assert "You judged this pair yourself" in text
    assert 'name="decision"' not in text
    answer = decide(rheas, pair, "dismissed")
    assert "You judged this pair yourself" in answer.content.decode()
    assert not Review.objects.exists()


def test_a_sealed_week_is_read_and_not_decided_on(
    rheas: Client, pairs_of_two: list[Comparison], two: Batch
) -> None:
    seal_batch(batch=two)
    text = page(rheas, place(pairs_of_two[0]))
    assert "is sealed: its judgments do not change." in text
    assert 'name="decision"' not in text
    assert "is sealed" in decide(rheas, pairs_of_two[0], "dismissed").content.decode()
    assert "No week is open" in page(rheas, QUEUE)


def test_decisions_are_listed_and_lead_to_their_pair(
    rheas: Client, rhea: User, pairs_of_two: list[Comparison]
) -> None:
    review = dismiss_dispute(comparison=pairs_of_two[0], by=rhea, seen=state_of(pairs_of_two[0]))
    assert "left it as it is" in page(rheas, DECISIONS)
    assert rheas.get(f"{DECISIONS}{review.pk}/change/")["Location"] == place(pairs_of_two[0])


def test_the_pages_ask_no_more_for_many_pairs_than_for_few(
    rheas: Client, two: Batch, ada: User, ben: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    made = [make_dispute(two, {ada: (A, BETTER), ben: (B, BETTER)}) for _ in range(8)]
    with django_assert_max_num_queries(10):
        page(rheas, QUEUE)
    with django_assert_max_num_queries(24):
        page(rheas, place(made[3]))


@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.RESEARCHER])
def test_annotators_do_not_get_in_and_researchers_do(
    as_user: AsUser, pairs_of_two: list[Comparison], role: Role
) -> None:
    client = as_user(make_user("somebody", role=role))
    expected = 200 if role is Role.RESEARCHER else 403
    for path in (QUEUE, DECISIONS, place(pairs_of_two[0])):
        assert client.get(path, follow=True).status_code == expected
    if role is Role.ANNOTATOR:
        assert client.post(place(pairs_of_two[0]), follow=True).status_code == 403


def test_reviewers_find_the_queue_in_the_sidebar_and_at_home(
    rheas: Client, rhea: User, pairs_of_two: list[Comparison]
) -> None:
    assert QUEUE in page(rheas, "/admin/annotation/pass/")
    assert "3 disagreements wait" in page(rheas, "/")
    assert len(disputes(rhea, Wanted())) == 3
