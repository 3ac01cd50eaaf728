"""The admin's pages for data and people: Rosa works there, Ada and Otto do not get in, nobody rewrites the record."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.admin.batch_forms import PlanForm
from annotation.core.grades import Focus
from annotation.core.states import BatchState
from annotation.models import Batch, Comparison, Guideline, Judgment, Prompt, User
from annotation.overview import seal_preview, with_counts
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, seal_batch
from annotation.services.snapshots import create_snapshot
from annotation.templatetags.panel import brief, dot, moment, number
from tests.factories import form_data, make_judgment, make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]
Pairs = Callable[..., list[Comparison]]

LISTS = ("batch", "prompt", "dialogue", "response", "comparison", "judgment", "guideline", "snapshot", "user")


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


@pytest.fixture
def judged(ada: User, pairs: Pairs) -> list[Comparison]:
    """Three pairs, each judged by Ada."""
    rows = [*pairs(2), *pairs(1, focus=Focus.SAFETY)]
    for _ in rows:
        make_judgment(ada)
    return rows


def page(client: Client, name: str, *arguments: object) -> str:
    answer = client.get(reverse(f"admin:{name}", args=arguments))
    assert answer.status_code == 200, answer
    return answer.content.decode()


def test_the_signed_out_are_sent_to_the_one_sign_in_page(client: Client) -> None:
    wanted = reverse("admin:annotation_batch_changelist")
    answer = client.get(wanted, follow=True)
    assert answer.redirect_chain[-1][0] == f"{reverse('frontend:sign-in')}?next={wanted}"


def test_ada_annotates_and_is_refused(as_user: AsUser, ada: User) -> None:
    answer = as_user(ada).get(reverse("admin:annotation_batch_changelist"), follow=True)
    assert answer.status_code == 403


def test_a_mark_of_staff_without_the_role_opens_nothing(as_user: AsUser) -> None:
    staff = make_user("eve", is_staff=True)
    assert as_user(staff).get(reverse("admin:index"), follow=True).status_code == 403


def test_otto_is_an_outsider_and_is_not_even_signed_in(as_user: AsUser, otto: User) -> None:
    answer = as_user(otto).get(reverse("admin:index"), follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("frontend:sign-in"))


@pytest.mark.parametrize("name", LISTS)
def test_rosa_needs_nothing_but_her_role(rosas: Client, judged: list[Comparison], name: str) -> None:
    page(rosas, f"annotation_{name}_changelist")


@pytest.mark.parametrize("model", [Judgment, Prompt, Comparison])
def test_the_record_is_read_and_never_written(
    rosas: Client, judged: list[Comparison], week: Batch, model: type[Judgment]
) -> None:
    row = model.objects.first()
    assert row is not None
    place = f"admin:annotation_{model._meta.model_name}"
    assert rosas.get(reverse(f"{place}_add")).status_code == 403
    assert rosas.post(reverse(f"{place}_delete", args=(row.pk,)), {"post": "yes"}).status_code == 403
    page(rosas, f"annotation_{model._meta.model_name}_change", row.pk)
    answer = rosas.post(reverse(f"{place}_change", args=(row.pk,)), {"text": "x", "comment": "x"})
    assert answer.status_code in (200, 403)
    assert model.objects.get(pk=row.pk).__dict__.keys() == row.__dict__.keys()
    assert [v for k, v in vars(model.objects.get(pk=row.pk)).items() if k != "_state"] == [
        v for k, v in vars(row).items() if k != "_state"
    ]


def test_every_page_of_the_admin_belongs_to_a_role() -> None:
    """A model that is registered without the roles would open itself to hand-assigned permissions."""
    for model_admin in admin.site._registry.values():
        assert hasattr(model_admin, "view_role"), model_admin


def test_the_list_of_batches_counts_without_asking_once_a_row(
    rosas: Client, judged: list[Comparison], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        create_batch()
    with django_assert_max_num_queries(8):
        text = page(rosas, "annotation_batch_changelist")
    assert "3 · 100 %" in text


@pytest.mark.parametrize("name", ["comparison", "judgment", "dialogue", "snapshot"])
def test_lists_ask_no_more_for_many_rows_than_for_few(
    rosas: Client,
    ada: User,
    pairs: Pairs,
    week: Batch,
    name: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    pairs(15)
    for _ in range(15):
        make_judgment(ada)
    seal_batch(batch=week)
    for table in ("none", "small", "large"):
        create_snapshot(batches=[week], margin_table=table)  # type: ignore[arg-type]
    with django_assert_max_num_queries(9):
        page(rosas, f"annotation_{name}_changelist")


def test_counts_leave_out_what_was_withdrawn_or_taken_back(week: Batch, judged: list[Comparison]) -> None:
    Comparison.objects.filter(pk=judged[0].pk).update(state="withdrawn")
    row = with_counts(Batch.objects.filter(pk=week.pk)).get()
    assert (row.comparisons_n, row.complete_n, row.judgments_n) == (2, 2, 3)  # type: ignore[attr-defined]


def test_rosa_plans_a_batch(rosas: Client, rosa: User) -> None:
    chosen = {"overlap": 2, "holdout": 10, "seed": 7, "daily_target": 120, "turn_limit": 2}
    plan = form_data(PlanForm(), **chosen, shows_agreement=False)
    answer = rosas.post(reverse("admin:annotation_batch_add"), plan)
    batch = Batch.objects.get()
    assert answer.headers["Location"] == reverse("admin:annotation_batch_change", args=(batch.pk,))
    assert (batch.name, batch.overlap, batch.holdout, batch.seed) == ("Week 1", 2, 10, 7)
    assert (batch.daily_target, batch.turn_limit, batch.shows_agreement) == (120, 2, False)
    assert batch.events.get().by == rosa


def test_a_name_that_is_taken_is_said_on_the_form(rosas: Client) -> None:
    create_batch(name="May")
    plan = form_data(PlanForm(), name="May")
    answer = rosas.post(reverse("admin:annotation_batch_add"), plan)
    assert "There is a batch named &#x27;May&#x27; already" in answer.content.decode()
    assert Batch.objects.count() == 1


def test_opening_is_a_post_and_nothing_else(rosas: Client) -> None:
    batch = create_batch()
    place = reverse("admin:annotation_batch_open", args=(batch.pk,))
    assert rosas.get(place).status_code == 405
    assert rosas.post(place).status_code == 302
    batch.refresh_from_db()
    assert batch.state == BatchState.OPEN


def test_a_forged_post_is_refused(rosa: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(rosa)
    batch = create_batch()
    assert strict.post(reverse("admin:annotation_batch_open", args=(batch.pk,))).status_code == 403


def test_what_the_service_refuses_is_a_message(rosas: Client, week: Batch) -> None:
    answer = rosas.post(reverse("admin:annotation_batch_open", args=(week.pk,)), follow=True)
    assert "is open and cannot become open" in answer.content.decode()


def test_sealing_says_in_numbers_what_it_freezes(
    rosas: Client, ben: User, week: Batch, judged: list[Comparison], pairs: Pairs
) -> None:
    pairs(8)
    lease_next(annotator=ben)
    preview = seal_preview(week)
    # 11 pairs: 3 judged and 8 not, of which Ben holds one. Below 10 examples nothing is held out.
    assert (preview.comparisons, preview.judged, preview.unjudged, preview.judgments) == (11, 3, 8, 3)
    assert (preview.incomplete, preview.in_hands, preview.held_out, preview.withdrawn) == (0, 1, 0, 0)
    assert "of 11; they become data" in page(rosas, "annotation_batch_seal", week.pk)
    week.refresh_from_db()
    assert week.state == BatchState.OPEN


def test_the_hold_out_that_is_announced_is_the_one_that_is_drawn(
    ada: User, week: Batch, pairs: Pairs
) -> None:
    pairs(30)
    for _ in range(30):
        make_judgment(ada)
    announced = seal_preview(week).held_out
    seal_batch(batch=week)
    assert announced == week.events.latest("pk").detail["held_out"] == 3  # a tenth of 30


def test_rosa_seals_the_week(rosas: Client, rosa: User, week: Batch, judged: list[Comparison]) -> None:
    rosas.post(reverse("admin:annotation_batch_seal", args=(week.pk,)))
    week.refresh_from_db()
    assert week.state == BatchState.SEALED
    assert week.events.latest("pk").by == rosa
    assert "3 comparisons are frozen" in page(rosas, "annotation_batch_change", week.pk)


def test_a_sealed_batch_is_not_offered_for_sealing(rosas: Client, week: Batch) -> None:
    seal_batch(batch=week)
    answer = rosas.get(reverse("admin:annotation_batch_seal", args=(week.pk,)), follow=True)
    assert "Only an open batch can be sealed" in answer.content.decode()


def test_text_of_strangers_is_shown_and_not_run(rosas: Client, pairs: Pairs) -> None:
    comparison = pairs(1)[0]
    Prompt.objects.update(text="<script>alert(1)</script>")
    comparison.response_a.text = "<img src=x onerror=alert(2)>"
    comparison.response_a.save()
    for text in (
        page(rosas, "annotation_comparison_change", comparison.pk),
        page(rosas, "annotation_prompt_changelist"),
    ):
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_guidelines_change_by_a_new_version(rosas: Client) -> None:
    place = reverse("admin:annotation_guideline_add")
    rosas.post(place, {"focus": "safety", "text": "# Be careful"})
    rosas.post(place, {"focus": "safety", "text": "# Be more careful"})
    assert [row.version for row in Guideline.objects.order_by("version")] == [1, 2]
    assert "# Be more careful" in rosas.get(f"{place}?focus=safety").content.decode()


def test_an_unknown_row_is_not_found(rosas: Client) -> None:
    assert rosas.get(reverse("admin:annotation_batch_change", args=(404,))).status_code == 404
    assert rosas.get(reverse("admin:annotation_batch_seal", args=("x",))).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["annotator__password__startswith=pbkdf2", "annotator__email__contains=a", "password__startswith=p"],
)
def test_filters_look_up_nothing_that_the_page_does_not_offer(rosas: Client, query: str) -> None:
    answer = rosas.get(f"{reverse('admin:annotation_judgment_changelist')}?{query}")
    assert answer.status_code in (302, 400)


def test_only_the_admin_gets_the_looser_policy(rosas: Client) -> None:
    policy = rosas.get(reverse("admin:index")).headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    other = rosas.get(reverse("frontend:sign-in")).headers["Content-Security-Policy"]
    assert "unsafe" not in other


def test_marks_escape_what_they_are_given() -> None:
    assert "<b>" not in dot("<b>", "<i>")
    assert "<b>" not in brief(UUID(int=0)) + brief("<b>")
    assert moment(None) == "—"


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "—"), (1234, "1,234"), (0.123456, "0.1235"), ("x", "x"), (True, "True")]
)
def test_figures_are_short(value: object, shown: str) -> None:
    assert number(value) == shown
