"""What reviewers decide on pairs that people judged differently. Ada and Ben annotate, Rhea and Rolf review."""

from __future__ import annotations

from functools import partial

import pytest
from django.conf import settings

from annotation.core.grades import Focus, SafetyLabel
from annotation.core.states import ComparisonState
from annotation.errors import (
    BatchSealedError,
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidJudgmentError,
    NotFoundError,
)
from annotation.models import AuditEvent, Batch, Comparison, Decision, Judgment, Review, User
from annotation.reviewing import (
    feedback_for,
    opinions_on,
    returned_to,
    state_of,
)
from annotation.services.allocation import lease_next
from annotation.services.batches import seal_batch
from annotation.services.gold import stock_gold
from annotation.services.judgments import Answer, retract_judgment, settle_comparison
from annotation.services.reviews import (
    approve_judgment,
    dismiss_dispute,
    put_away_feedback,
    retract_review,
    return_judgment,
    set_label,
)
from annotation.tests.checks import make_checks
from annotation.tests.disputes import (
    BETTER,
    NEGLIGIBLY,
    SIGNIFICANTLY,
    SLIGHTLY,
    A,
    B,
    dismiss,
    make_dispute,
    of,
    say,
    waiting,
)
from annotation.tests.test_races import ROUNDS, at_once
from tests.factories import make_batch, make_comparisons, make_user


def adjudicated(pair: Comparison) -> Judgment | None:
    return pair.judgments.effective().filter(source=Judgment.Source.REVIEW).first()


def test_an_approved_label_is_a_further_row_and_the_judgments_stay(
    pair: Comparison, ada: User, rhea: User
) -> None:
    before = list(pair.judgments.order_by("pk").values())
    review = approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    row = adjudicated(pair)
    assert row is not None
    assert (row.annotator, row.choice, row.grade, row.source) == (rhea, A, BETTER, "review")
    assert (review.adjudication, review.judgment, review.decision) == (row, of(pair, ada), Decision.APPROVED)
    assert list(pair.judgments.of_annotators().order_by("pk").values()) == before
    assert AuditEvent.objects.get(action="review.approved").actor == rhea


def test_an_adjudication_changes_neither_state_nor_distance(pair: Comparison, ada: User, rhea: User) -> None:
    before = (pair.state, pair.dispute)
    approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    settle_comparison(pair)
    pair.refresh_from_db()
    assert (pair.state, pair.dispute) == before
    assert Judgment.objects.counting().filter(comparison=pair).count() == 2


def test_a_reviewer_sets_a_label_of_their_own(pair: Comparison, rhea: User) -> None:
    answer = Answer(choice=B, grade=NEGLIGIBLY, comment=" A hair. ")
    review = set_label(comparison=pair, answer=answer, by=rhea, seen=state_of(pair))
    row = adjudicated(pair)
    assert row is not None
    assert (row.choice, row.grade, row.comment, review.judgment) == (B, NEGLIGIBLY, "A hair.", None)


def test_a_later_label_takes_the_place_of_an_earlier_one(
    pair: Comparison, ada: User, rhea: User, rolf: User
) -> None:
    approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    first = adjudicated(pair)
    set_label(comparison=pair, answer=Answer(choice=B, grade=BETTER), by=rolf, seen=state_of(pair))
    second = adjudicated(pair)
    assert second is not None
    assert (second.supersedes, second.annotator) == (first, rolf)
    assert pair.judgments.filter(source="review", current=True).count() == 1


def test_a_later_decision_without_a_label_withdraws_the_earlier_one(
    pair: Comparison, ada: User, rhea: User
) -> None:
    approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    dismiss(pair, rhea)
    assert adjudicated(pair) is None
    assert waiting(rhea) == []


@pytest.mark.parametrize(
    ("focus", "label"), [(Focus.SAFETY, None), (Focus.HELPFULNESS, SafetyLabel.BOTH_SAFE)]
)
def test_a_label_has_to_fit_its_focus(
    two: Batch, rhea: User, focus: Focus, label: SafetyLabel | None
) -> None:
    (pair,) = make_comparisons(two, 1, focus=focus)
    answer = Answer(choice=A, grade=BETTER, safety=label)
    with pytest.raises(InvalidJudgmentError):
        set_label(comparison=pair, answer=answer, by=rhea, seen=state_of(pair))


def test_a_judgment_without_a_strength_cannot_be_approved(pair: Comparison, ben: User, rhea: User) -> None:
    Judgment.objects.filter(annotator=ben).update(source="import", grade="")
    with pytest.raises(InvalidJudgmentError, match="no strength"):
        approve_judgment(judgment=of(pair, ben), by=rhea, seen=state_of(pair))


def test_whoever_judged_the_pair_cannot_decide_on_it(two: Batch, ada: User, rhea: User) -> None:
    pair = make_dispute(two, {ada: (A, BETTER), rhea: (B, BETTER)})
    with pytest.raises(ForbiddenError, match="You judged this pair yourself"):
        approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    retract_judgment(annotator=rhea, uid=of(pair, rhea).uid)
    with pytest.raises(ForbiddenError):
        dismiss(pair, rhea)


def test_a_reviewer_who_decided_is_not_asked_as_an_annotator_too(ada: User, ben: User, rhea: User) -> None:
    batch = make_batch(overlap=3)
    pair = make_dispute(batch, {ada: (A, BETTER), ben: (B, BETTER)})
    approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    lease_next(annotator=rhea)
    with pytest.raises(ConflictError, match="as a reviewer"):
        say(rhea, pair, B, BETTER)


def test_nothing_is_decided_in_a_sealed_week(pair: Comparison, ada: User, rhea: User) -> None:
    review = dismiss(pair, rhea)
    seal_batch(batch=pair.batch)
    for decide in (
        partial(approve_judgment, judgment=of(pair, ada), by=rhea, seen=state_of(pair)),
        partial(return_judgment, judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair)),
        partial(dismiss_dispute, comparison=pair, by=rhea, seen=state_of(pair)),
        partial(retract_review, review=review, by=rhea),
    ):
        with pytest.raises(BatchSealedError, match="sealed"):
            decide()


def test_a_check_and_a_pair_that_is_out_are_not_decided_on(pair: Comparison, rhea: User, rosa: User) -> None:
    make_checks(1, rosa)
    stock_gold(batch=pair.batch)
    with pytest.raises(ConflictError, match="attention check"):
        dismiss(pair.batch.comparisons.get(gold__isnull=False), rhea)
    Comparison.objects.filter(pk=pair.pk).update(state=ComparisonState.WITHDRAWN)
    with pytest.raises(ConflictError, match="taken out after a flag"):
        dismiss(pair, rhea)


def test_a_decision_on_what_has_changed_since_is_refused(
    pair: Comparison, ada: User, ben: User, rhea: User, rolf: User
) -> None:
    seen = state_of(pair)
    say(ben, pair, B, SIGNIFICANTLY)
    with pytest.raises(ConflictError, match="A judgment of this pair was changed"):
        dismiss_dispute(comparison=pair, by=rhea, seen=seen)
    seen = state_of(pair)
    dismiss(pair, rolf)
    with pytest.raises(ConflictError, match="Somebody has decided"):
        approve_judgment(judgment=of(pair, ada), by=rhea, seen=seen)
    assert Review.objects.count() == 1


def test_a_decision_is_taken_back_and_the_pair_waits_again(pair: Comparison, ada: User, rhea: User) -> None:
    review = approve_judgment(judgment=of(pair, ada), by=rhea, seen=state_of(pair))
    label = adjudicated(pair)
    retract_review(review=review, by=rhea)
    last = pair.judgments.latest("pk")
    assert (last.retracted, last.supersedes, last.source) == (True, label, "review")
    assert (adjudicated(pair), waiting(rhea)) == (None, [pair])
    assert Review.objects.get() == review, "the decision stays on record"
    set_label(comparison=pair, answer=Answer(choice=B, grade=BETTER), by=rhea, seen=state_of(pair))
    assert adjudicated(pair) is not None


@pytest.mark.parametrize("kind", ["dismissed", "returned"])
def test_a_decision_without_a_label_is_taken_back_too(
    pair: Comparison, ada: User, rhea: User, kind: str
) -> None:
    if kind == "dismissed":
        review = dismiss(pair, rhea)
    else:
        review = return_judgment(judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair))
    retract_review(review=review, by=rhea)
    assert waiting(rhea) == [pair]
    assert returned_to(ada) == []


def test_a_decision_is_taken_back_once_by_whoever_made_it(pair: Comparison, rhea: User, rolf: User) -> None:
    review = dismiss(pair, rhea)
    with pytest.raises(ForbiddenError, match="another reviewer's"):
        retract_review(review=review, by=rolf)
    retract_review(review=review, by=rhea)
    with pytest.raises(ConflictError, match="taken back already"):
        retract_review(review=review, by=rhea)
    later = dismiss(pair, rolf)
    with pytest.raises(ConflictError):
        retract_review(review=review, by=rhea)
    assert Review.objects.latest("pk") == later


# What comes back to an annotator


def test_a_returned_judgment_comes_back_with_its_feedback(
    pair: Comparison, ada: User, ben: User, rhea: User
) -> None:
    review = return_judgment(
        judgment=of(pair, ada), feedback=" Mind the units. ", by=rhea, seen=state_of(pair)
    )
    assert (returned_to(ada), returned_to(ben)) == ([review], [])
    assert feedback_for([of(pair, ada).pk, of(pair, ben).pk]) == {of(pair, ada).pk: "Mind the units."}
    assert waiting(rhea) == [], "it waits for Ada, and not for a reviewer"


def test_an_answer_brings_the_pair_back_where_people_still_differ(
    pair: Comparison, ada: User, rhea: User
) -> None:
    return_judgment(judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair))
    say(ada, pair, A, SLIGHTLY)
    assert (returned_to(ada), waiting(rhea)) == ([], [pair])


def test_feedback_that_was_read_waits_no_more(pair: Comparison, ada: User, ben: User, rhea: User) -> None:
    review = return_judgment(judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair))
    with pytest.raises(NotFoundError):
        put_away_feedback(annotator=ben, review=review.pk)
    seen_at = put_away_feedback(annotator=ada, review=review.pk).seen_at
    assert (returned_to(ada), seen_at is not None) == ([], True)
    assert put_away_feedback(annotator=ada, review=review.pk).seen_at == seen_at


def test_a_later_decision_ends_a_return(pair: Comparison, ada: User, ben: User, rhea: User) -> None:
    return_judgment(judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair))
    approve_judgment(judgment=of(pair, ben), by=rhea, seen=state_of(pair))
    assert returned_to(ada) == []


def test_what_came_back_waits_no_more_once_the_week_is_sealed(
    pair: Comparison, ada: User, rhea: User
) -> None:
    return_judgment(judgment=of(pair, ada), feedback="Look.", by=rhea, seen=state_of(pair))
    seal_batch(batch=pair.batch)
    assert returned_to(ada) == []


def test_nothing_is_returned_without_feedback_or_to_nobody(
    pair: Comparison, ada: User, ben: User, rhea: User
) -> None:
    with pytest.raises(DomainError, match="Say what"):
        return_judgment(judgment=of(pair, ada), feedback="  ", by=rhea, seen=state_of(pair))
    User.objects.filter(pk=ben.pk).update(imported=True)
    with pytest.raises(DomainError, match="cannot sign in"):
        return_judgment(judgment=of(pair, ben), feedback="Look.", by=rhea, seen=state_of(pair))


def test_opinions_stand_in_an_order_that_says_nothing_and_stays(two: Batch, ada: User, ben: User) -> None:
    """By hash of pair and person: Ada is not always first, though she always judged first."""
    pairs = [make_dispute(two, {ada: (A, BETTER), ben: (B, BETTER)}) for _ in range(8)]
    firsts = {opinions_on(pair)[0].judgment.annotator for pair in pairs}
    assert firsts == {ada, ben}
    assert [one.judgment for one in opinions_on(pairs[0])] == [one.judgment for one in opinions_on(pairs[0])]
    assert [one.number for one in opinions_on(pairs[0])] == [1, 2]


# Two at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
)
def test_two_reviewers_who_decide_at_once_decide_once() -> None:
    ada, ben, rhea, rolf = (make_user(name) for name in ("ada", "ben", "rhea", "rolf"))
    batch = make_batch(overlap=2)
    for _ in range(ROUNDS):
        pair = make_dispute(batch, {ada: (A, BETTER), ben: (B, BETTER)})
        seen = state_of(pair)
        found = at_once(
            partial(approve_judgment, judgment=of(pair, ada), by=rhea, seen=seen),
            partial(set_label, comparison=pair, answer=Answer(choice=B, grade=BETTER), by=rolf, seen=seen),
        )
        (refused,) = [one for one in found if isinstance(one, ConflictError)]
        assert refused.message.startswith("Somebody has decided on this pair meanwhile.")
        winner = rolf if found.index(refused) == 0 else rhea
        row = adjudicated(pair)
        assert row is not None
        assert (row.annotator, pair.reviews.get().by) == (winner, winner)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "postgresql" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has one writer at a time"
)
def test_a_judgment_changed_while_a_reviewer_decides_is_decided_on_or_seen_anew() -> None:
    ada, ben, rhea = (make_user(name) for name in ("ada", "ben", "rhea"))
    batch = make_batch(overlap=2)
    for _ in range(ROUNDS):
        pair = make_dispute(batch, {ada: (A, BETTER), ben: (B, BETTER)})
        decided, _ = at_once(
            partial(dismiss_dispute, comparison=pair, by=rhea, seen=state_of(pair)),
            partial(say, ada, pair, A, SIGNIFICANTLY),
        )
        assert pair in waiting(rhea), "what Ada said stands after the decision, or there was none"
        assert isinstance(decided, ConflictError) == (not pair.reviews.exists())
