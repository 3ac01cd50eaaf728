"""Pairs on which people go against the reward model. Rhea reviews, Ada, Ben and Cleo annotate."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.core.grades import Choice, Focus, SafetyLabel
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Review, Role, User
from annotation.reviewing import state_of
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.reviews import dismiss_dispute, retract_review
from annotation.tests.disputes import BETTER, SLIGHTLY, A, B, make_dispute, say
from rewardmodel import queries
from rewardmodel.models import PairScore, RewardModelVersion
from rewardmodel.queries import against_people, first_of_each_focus, scored_batches, scoring_models
from rewardmodel.services import promote_reward_model, store_pair_scores
from rewardmodel.tests.scores import make_version, score
from tests.factories import make_batch, make_comparisons, make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]
QUEUE = "/admin/rewardmodel/pairscore/"
SURE = math.log(19)  # so far apart the model gives the response that it likes less 5 %


@pytest.fixture
def rheas(as_user: AsUser, rhea: User) -> Client:
    return as_user(rhea)


@pytest.fixture
def cleo(db: None) -> User:
    return make_user("cleo")


@pytest.fixture
def three(db: None) -> Batch:
    return make_batch(overlap=3)


@pytest.fixture
def helpful(db: None) -> RewardModelVersion:
    return make_version()


def judged(batch: Batch, *people: User, choice: Choice = A, focus: Focus = Focus.HELPFULNESS) -> Comparison:
    """A new pair that these people judged alike."""
    label = (SafetyLabel.BOTH_SAFE,) if focus is Focus.SAFETY else ()
    return make_dispute(batch, dict.fromkeys(people, (choice, BETTER, *label)), focus=focus)


def found(
    reviewer: User, batch: Batch, *models: RewardModelVersion, below: float = 0.2, people: int = 1
) -> list[int]:
    """Primary keys of the pairs in the queue, in its order."""
    rows = against_people(reviewer, batch=batch, models=models, below=below, people=people)
    return [row.score.comparison_id for row in rows]


def page(client: Client, query: str = "") -> str:
    answer = client.get(QUEUE + query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def cells(text: str) -> list[list[str]]:
    """The words of the table, row by row."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
        for row in body.split("</tr>")[:-1]
    ]


def test_the_surest_contradiction_comes_first(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    mild, agreed, strong, faint = (judged(week, ada) for _ in range(4))
    score(helpful, mild, 0.0, 2.0)
    score(helpful, agreed, 9.0, 0.0)
    score(helpful, strong, -3.0, 2.0)
    score(helpful, faint, 0.0, 1.0)  # 27 % for what people chose
    assert found(rhea, week, helpful) == [strong.pk, mild.pk]
    assert found(rhea, week, helpful, below=0.5) == [strong.pk, mild.pk, faint.pk]


def test_the_side_that_people_chose_makes_no_difference(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    for_a, for_b = judged(week, ada), judged(week, ada, choice=B)
    score(helpful, for_a, 0.0, 3.0)
    score(helpful, for_b, 4.0, 0.0)
    assert found(rhea, week, helpful) == [for_b.pk, for_a.pk]


def test_a_model_that_is_not_surer_than_asked_is_left_out(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    pair = judged(week, ada)
    score(helpful, pair, 0.0, SURE)
    assert found(rhea, week, helpful, below=0.051) == [pair.pk]
    assert found(rhea, week, helpful, below=0.05) == []


def test_the_models_probability_is_that_of_the_peoples_choice(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    score(helpful, judged(week, ada), 0.0, SURE)
    (row,) = against_people(rhea, batch=week, models=[helpful], below=0.2)
    assert row.probability == pytest.approx(0.05)


def test_a_reward_of_any_size_has_its_probability(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    score(helpful, judged(week, ada), -5000.0, 5000.0)
    (row,) = against_people(rhea, batch=week, models=[helpful], below=0.01)
    assert row.probability == 0.0


def test_people_are_a_majority_or_nobody(
    three: Batch, ada: User, ben: User, cleo: User, rhea: User, helpful: RewardModelVersion
) -> None:
    two_of_three = make_dispute(three, {ada: (A, BETTER), ben: (A, SLIGHTLY), cleo: (B, BETTER)})
    even = make_dispute(three, {ada: (A, BETTER), ben: (B, BETTER)})
    alone = judged(three, ada)
    (unjudged,) = make_comparisons(three, 1)
    for pair in (two_of_three, even, alone, unjudged):
        score(helpful, pair, 0.0, 3.0)
    assert found(rhea, three, helpful) == [two_of_three.pk, alone.pk]
    assert found(rhea, three, helpful, people=2) == [two_of_three.pk]
    (row, _) = against_people(rhea, batch=three, models=[helpful], below=0.2)
    assert (row.agreeing, row.people.judgments, row.people.grade) == (2, 3, SLIGHTLY)


def test_only_the_model_of_the_pairs_focus_is_asked(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    safe = make_version("safe-1", Focus.SAFETY)
    pair = judged(week, ada, focus=Focus.SAFETY)
    score(helpful, pair, 0.0, 5.0)
    score(safe, pair, 5.0, 0.0)
    assert found(rhea, week, helpful, safe) == []
    score(safe, pair, 0.0, 5.0)
    assert found(rhea, week, helpful, safe) == [pair.pk]


def test_two_models_queues_are_one(week: Batch, ada: User, rhea: User, helpful: RewardModelVersion) -> None:
    safe = make_version("safe-1", Focus.SAFETY)
    first, second = judged(week, ada), judged(week, ada, focus=Focus.SAFETY)
    third = judged(week, ada)
    for model, pair, gap in ((helpful, first, 5.0), (safe, second, 4.0), (helpful, third, 3.0)):
        score(model, pair, 0.0, gap)
    assert found(rhea, week, helpful, safe) == [first.pk, second.pk, third.pk]


def test_a_pair_that_was_taken_out_is_not_reviewed(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    pair = judged(week, ada)
    score(helpful, pair, 0.0, 3.0)
    Comparison.objects.update(state=ComparisonState.WITHDRAWN)
    assert found(rhea, week, helpful) == []


def test_a_reviewer_does_not_meet_their_own_judgments(week: Batch, helpful: RewardModelVersion) -> None:
    rolf, other = make_user("rolf", role=Role.REVIEWER), make_user("rhea", role=Role.REVIEWER)
    pair = judged(week, rolf)
    score(helpful, pair, 0.0, 3.0)
    assert found(rolf, week, helpful) == []
    assert found(other, week, helpful) == [pair.pk]


def test_what_a_reviewer_decided_on_leaves_until_something_new_is_said(
    three: Batch, ada: User, ben: User, rhea: User, helpful: RewardModelVersion
) -> None:
    pair = judged(three, ada)
    score(helpful, pair, 0.0, 3.0)
    dismiss_dispute(comparison=pair, by=rhea, seen=state_of(pair))
    assert found(rhea, three, helpful) == []
    lease_next(annotator=ben)
    say(ben, pair, A, BETTER)
    assert found(rhea, three, helpful) == [pair.pk]


def test_a_decision_that_was_taken_back_brings_the_pair_back(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion
) -> None:
    pair = judged(week, ada)
    score(helpful, pair, 0.0, 3.0)
    dismiss_dispute(comparison=pair, by=rhea, seen=state_of(pair))
    retract_review(review=Review.objects.get(), by=rhea)
    assert found(rhea, week, helpful) == [pair.pk]


def test_pages_follow_each_other_without_gap_or_repetition(
    week: Batch, ada: User, rhea: User, helpful: RewardModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SMALLEST", 2)
    pairs = [judged(week, ada) for _ in range(9)]
    for number, pair in enumerate(pairs):
        score(helpful, pair, 0.0, 9.0 - number // 3)  # three are as sure as each other
    seen: list[int] = []
    after = None
    while rows := against_people(rhea, batch=week, models=[helpful], below=0.2, after=after, limit=2):
        seen += [row.score.comparison_id for row in rows]
        after = rows[-1].score.pk
    assert seen == [pair.pk for pair in pairs]


def test_the_current_model_of_each_focus_speaks_or_else_the_newest(
    week: Batch, helpful: RewardModelVersion
) -> None:
    newer, safe = make_version("helpful-2"), make_version("safe-1", Focus.SAFETY)
    make_version("helpful-3")  # scored nothing
    (pair,) = make_comparisons(week, 1)
    for model in (helpful, newer, safe):
        score(model, pair, 0.0, 1.0)
    assert scoring_models(week) == [safe, newer, helpful]
    assert first_of_each_focus(scoring_models(week)) == [safe, newer]
    promote_reward_model(version=helpful)
    assert scoring_models(week) == [helpful, safe, newer]
    assert first_of_each_focus(scoring_models(week)) == [helpful, safe]
    assert scored_batches() == [week]


def test_scores_are_kept_once_and_the_last_ones_count(week: Batch, helpful: RewardModelVersion) -> None:
    pair, other = make_comparisons(week, 2)
    rewards = {pair.pk: (1.0, 3.0), other.pk: (0.0, 0.0)}
    assert store_pair_scores(version=helpful, batch=week, rewards=rewards) == 2
    assert store_pair_scores(version=helpful, batch=week, rewards={pair.pk: (4.0, 1.0)}) == 1
    rows = PairScore.objects.order_by("comparison").values_list("reward_a", "reward_b", "apart")
    assert list(rows) == [(4.0, 1.0, 3.0), (0.0, 0.0, 0.0)]


# The page


def test_the_page_says_what_people_chose_and_what_the_model_thinks_of_it(
    three: Batch, ada: User, ben: User, cleo: User, rheas: Client, helpful: RewardModelVersion
) -> None:
    pair = judged(three, ada, ben, cleo)
    score(helpful, pair, 0.0, SURE)
    text = page(rheas)
    assert cells(text) == [
        [pair.dialogue.prompt.text, "3 of 3 chose A, better", "5.0", "helpfulness", three.name, "helpful-1"]
    ]
    assert reverse("admin:annotation_review_pair", args=(pair.pk,)) in text


def test_the_page_names_no_annotator_and_no_policy(
    week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion
) -> None:
    score(helpful, judged(week, ada), 0.0, 3.0)
    text = page(rheas)
    assert not any(word in text for word in ("ada", "annotator-", "policy-x"))


def test_the_filters_narrow_the_queue(
    week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion
) -> None:
    safe, older = make_version("safe-1", Focus.SAFETY), helpful
    newer = make_version("helpful-2")
    first, second = judged(week, ada), judged(week, ada, focus=Focus.SAFETY)
    for model in (older, newer):
        score(model, first, 0.0, 3.0)
    score(safe, second, 0.0, 2.0)

    def models(query: str) -> list[str]:
        return [row[-1] for row in cells(page(rheas, query))]

    assert models("") == ["helpful-2", "safe-1"]
    assert models("?focus=safety") == ["safe-1"]
    assert models(f"?model={older.pk}") == ["helpful-1"]
    assert models("?below=10") == ["helpful-2"]  # 3 apart is 4.7 %, 2 apart 11.9 %
    assert models("?people=2") == []
    assert models(f"?batch={week.pk}") == ["helpful-2", "safe-1"]


def test_the_newest_week_that_was_scored_is_shown_first(
    ada: User, rheas: Client, helpful: RewardModelVersion
) -> None:
    older = make_batch()
    pair = judged(older, ada)
    seal_batch(batch=older)
    newer = make_batch()
    other = judged(newer, ada)
    for one in (pair, other):
        score(helpful, one, 0.0, 3.0)
    assert [row[4] for row in cells(page(rheas))] == [newer.name]
    assert [row[4] for row in cells(page(rheas, f"?batch={older.pk}"))] == [older.name]


@pytest.mark.parametrize(
    "query",
    [
        "?batch=x",
        "?batch=99999999999999999999",
        "?model=-1",
        "?below=0",
        "?people=7",
        "?after=404",
        "?focus=%00",
    ],
)
def test_an_address_that_makes_no_sense_shows_the_usual_queue(
    week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion, query: str
) -> None:
    score(helpful, judged(week, ada), 0.0, 3.0)
    assert len(cells(page(rheas, query))) == 1


def test_more_than_a_page_goes_on_behind_a_link(
    week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    for gap in (5.0, 4.0, 3.0):
        score(helpful, judged(week, ada), 0.0, gap)
    text = page(rheas, "?below=50")
    (link,) = re.findall(r'rel="next" href="([^"]+)"', text)
    assert "below=50" in link
    rest = page(rheas, link.replace("&amp;", "&"))
    assert (len(cells(text)), len(cells(rest))) == (2, 1)
    assert 'rel="next"' not in rest


def test_an_empty_queue_says_why(week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion) -> None:
    assert "No pairs are scored yet" in page(rheas)
    score(helpful, judged(week, ada), 3.0, 0.0)
    assert f"Nothing of {week}" in page(rheas)


def test_the_page_costs_the_same_for_one_pair_and_for_many(
    week: Batch,
    ada: User,
    rheas: Client,
    helpful: RewardModelVersion,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    safe = make_version("safe-1", Focus.SAFETY)
    for _ in range(12):
        score(helpful, judged(week, ada), 0.0, 3.0)
        score(safe, judged(week, ada, focus=Focus.SAFETY), 0.0, 3.0)
    with django_assert_max_num_queries(11):
        assert len(cells(page(rheas))) == 24


def test_ada_does_not_see_it(as_user: AsUser, ada: User) -> None:
    assert as_user(ada).get(QUEUE).status_code in (302, 403)
    assert as_user(ada).get(QUEUE, follow=True).status_code == 403


def test_otto_is_not_let_in(client: Client) -> None:
    assert client.get(QUEUE).status_code == 302


def test_reviewers_find_it_and_see_no_row_of_it_alone(
    week: Batch, ada: User, rheas: Client, helpful: RewardModelVersion
) -> None:
    score(helpful, judged(week, ada), 0.0, 3.0)
    assert f'href="{QUEUE}"' in page(rheas)
    row = PairScore.objects.get()
    assert rheas.get(f"{QUEUE}{row.pk}/change/").status_code in (302, 403)
    assert rheas.get(f"{QUEUE}add/").status_code in (302, 403)
    assert rheas.post(f"{QUEUE}{row.pk}/delete/", {"post": "yes"}).status_code in (302, 403)
    assert PairScore.objects.exists()
