"""Flags and reports in the admin. Ada annotates, Rosa researches, Rhea reviews and does nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.admin.batch_forms import OfferForm, initial_of
from annotation.core.grades import Focus
from annotation.core.passes import PassReason
from annotation.core.states import ComparisonState
from annotation.errors import BatchSealedError
from annotation.models import Batch, Comparison, GuidelineReport, Pass, User
from annotation.services.allocation import lease_next
from annotation.services.batches import Offer, change_offer, create_batch, open_batch, seal_batch
from annotation.services.guidelines import add_guideline, report_guideline
from annotation.services.passes import pass_on, retract_pass
from tests.factories import form_data

AsUser = Callable[[User], Client]
Pairs = Callable[..., list[Comparison]]
FLAGS = "/admin/annotation/pass/"
REPORTS = "/admin/annotation/guidelinereport/"


@pytest.fixture
def rheas(as_user: AsUser, rhea: User) -> Client:
    return as_user(rhea)


def flagged(annotator: User, reason: PassReason = PassReason.BROKEN, comment: str = "") -> Pass:
    (comparison,) = lease_next(annotator=annotator)
    return pass_on(
        annotator=annotator, comparison_key=comparison.key, uid=uuid4(), reason=reason, comment=comment
    )


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def state_of(flag: Pass) -> str:
    return Comparison.objects.get(pk=flag.comparison_id).state


def test_the_queue_begins_with_the_flags_that_wait(ada: User, pairs: Pairs, rheas: Client) -> None:
    pairs(3)
    flagged(ada, comment="Cut off in the middle.")
    flagged(ada, PassReason.LANGUAGE, comment="I do not read it.")
    retract_pass(annotator=ada, uid=flagged(ada, comment="A slip.").uid)
    text = page(rheas, FLAGS)
    assert "Cut off in the middle." in text
    assert "I do not read it." not in text
    assert "A slip." not in text


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("?stage=skips", {"skip"}),
        ("?stage=back", {"slip"}),
        ("?stage=handled", {"done"}),
        ("?stage=all", {"skip", "slip", "done", "flag"}),
        ("?reason__exact=unsafe", {"flag"}),
    ],
)
def test_other_passes_are_found_by_stage_and_reason(
    ada: User, pairs: Pairs, rheas: Client, query: str, seen: set[str]
) -> None:
    pairs(4)
    flagged(ada, PassReason.LANGUAGE, comment="zz-skip")
    retract_pass(annotator=ada, uid=flagged(ada, comment="zz-slip").uid)
    lease_next(annotator=ada)
    done = flagged(ada, comment="zz-done")
    rheas.post(f"{FLAGS}{done.pk}/restore/")
    lease_next(annotator=ada)
    flagged(ada, PassReason.UNSAFE, comment="zz-flag")
    text = page(rheas, FLAGS + query)
    assert {word for word in ("skip", "slip", "done", "flag") if f"zz-{word}" in text} == seen


def test_a_flag_shows_the_texts_of_its_pair_and_no_policy(ada: User, pairs: Pairs, rheas: Client) -> None:
    pairs(1, policy="policy-zebra")
    text = page(rheas, f"{FLAGS}{flagged(ada).pk}/change/")
    for words in ("Question 1.0 about helpfulness?", "A first answer to 0.", "Another answer to 0!"):
        assert words in text
    assert "zebra" not in text


def test_a_reviewer_restores_a_pair(ada: User, rhea: User, pairs: Pairs, rheas: Client) -> None:
    pairs(1)
    flag = flagged(ada)
    rheas.post(f"{FLAGS}{flag.pk}/restore/")
    flag.refresh_from_db()
    assert state_of(flag) == ComparisonState.OPEN
    assert (flag.handled_by, flag.handled_at is not None) == (rhea, True)


def test_a_reviewer_keeps_a_pair_out(ada: User, rhea: User, pairs: Pairs, rheas: Client) -> None:
    pairs(1)
    flag = flagged(ada, PassReason.TOO_HARD)
    rheas.post(f"{FLAGS}{flag.pk}/keep-out/")
    flag.refresh_from_db()
    assert state_of(flag) == ComparisonState.WITHDRAWN
    assert flag.handled_by == rhea


def test_a_flag_is_dealt_with_once(ada: User, pairs: Pairs, rheas: Client) -> None:
    pairs(1)
    flag = flagged(ada)
    rheas.post(f"{FLAGS}{flag.pk}/keep-out/")
    answer = rheas.post(f"{FLAGS}{flag.pk}/restore/", follow=True)
    assert "Somebody has dealt with this flag already." in answer.content.decode()
    assert state_of(flag) == ComparisonState.WITHDRAWN


def test_looking_at_a_decision_does_not_make_it(ada: User, pairs: Pairs, rheas: Client) -> None:
    pairs(1)
    flag = flagged(ada)
    assert rheas.get(f"{FLAGS}{flag.pk}/restore/").status_code == 405
    assert state_of(flag) == ComparisonState.WITHDRAWN


def test_a_sealed_week_offers_no_decision(ada: User, week: Batch, pairs: Pairs, rheas: Client) -> None:
    pairs(1)
    flag = flagged(ada)
    seal_batch(batch=week)
    assert "/restore/" not in page(rheas, f"{FLAGS}{flag.pk}/change/")


def test_the_queue_asks_no_more_for_many_flags_than_for_few(
    ada: User, pairs: Pairs, rheas: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pairs(12)
    for _ in range(12):
        flagged(ada)
    with django_assert_max_num_queries(7):
        page(rheas, FLAGS)


def test_a_report_is_read_with_its_pair_and_marked(
    ada: User, rhea: User, pairs: Pairs, rheas: Client
) -> None:
    (comparison,) = pairs(1)
    lease_next(annotator=ada)
    rules = add_guideline(focus=Focus.HELPFULNESS, text="Rules.")
    report = report_guideline(
        annotator=ada, guideline=rules, uid=uuid4(), text="What of jokes?", comparison_key=comparison.key
    )
    assert "What of jokes?" in page(rheas, REPORTS)
    assert "A first answer to 0." in page(rheas, f"{REPORTS}{report.pk}/change/")
    rheas.post(f"{REPORTS}{report.pk}/handle/")
    assert GuidelineReport.objects.get().handled_by == rhea
    assert "What of jokes?" not in page(rheas, REPORTS)


def test_a_reviewer_comes_in_at_the_flags_and_gets_nowhere_else(rheas: Client, week: Batch) -> None:
    assert rheas.get("/admin/")["Location"] == FLAGS
    for path in (
        "/admin/annotation/batch/",
        "/admin/annotation/user/",
        f"/admin/annotation/batch/{week.pk}/seal/",
    ):
        assert rheas.get(path, follow=True).status_code == 403
    text = page(rheas, FLAGS)
    assert "/admin/annotation/batch/" not in text


# What reviewers come for.
THEIRS = {
    "annotation_pass",
    "annotation_guidelinereport",
    "annotation_attempt",
    "annotation_review",
    "rewardmodel_pairscore",
}


def test_no_page_of_the_admin_opens_to_reviewers_but_those_of_review(rheas: Client) -> None:
    names = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert names > THEIRS
    for name in names - THEIRS:
        assert rheas.get(reverse(f"admin:{name}_changelist"), follow=True).status_code == 403, name


def test_a_reviewers_lists_get_all_that_they_load(rheas: Client) -> None:
    for path in re.findall(r'<script src="(/admin/[^"]*)"', page(rheas, FLAGS)):
        assert rheas.get(path).status_code == 200, path


@pytest.mark.parametrize("path", [FLAGS, REPORTS])
def test_ada_gets_to_neither_list(ada: User, as_user: AsUser, path: str) -> None:
    assert as_user(ada).get(path, follow=True).status_code == 403


def test_what_a_batch_offers_is_changed_while_it_is_open(rosa: User, as_user: AsUser, week: Batch) -> None:
    place = reverse("admin:annotation_batch_offer", args=(week.pk,))
    client = as_user(rosa)
    assert 'value="4"' in page(client, place)
    client.post(place, form_data(OfferForm(initial=initial_of(week)), daily_target=80, turn_limit=0))
    week.refresh_from_db()
    assert (week.daily_target, week.turn_limit, week.shows_agreement) == (80, 0, True)


def test_what_a_sealed_batch_offered_stays(week: Batch) -> None:
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        change_offer(batch=week, offer=Offer(daily_target=3))
    week.refresh_from_db()
    assert week.daily_target == 0


def test_a_batch_is_planned_with_its_offer(db: None) -> None:
    batch = create_batch(offer=Offer(daily_target=90))
    open_batch(batch=batch)
    batch.refresh_from_db()
    assert batch.daily_target == 90
