"""The pages on agreement and on people: Rosa reads them, Ada and Rhea do not, and every figure is named."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from annotation.admin.quality import SHOWN, TO_READ
from annotation.core.grades import Focus, SafetyLabel
from annotation.models import Batch, Prompt, Role, User
from annotation.quality_figures import METRICS, WEIGHTINGS
from annotation.templatetags.quality import coefficient, coefficient_plot, points, seconds, share_plot
from annotation.tests.opinions import BETTER, NEGLIGIBLY, SIG, SLIGHTLY, A, B, crowd, say
from tests.factories import make_batch, make_comparisons, make_user

AsUser = Callable[[User], Client]

db = pytest.mark.django_db


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


@pytest.fixture
def busy(ada: User, ben: User) -> Batch:
    """Forty pairs; Ada and Ben choose the same response in thirty, and safety is asked of the last four."""
    batch = make_batch(overlap=2)
    make_comparisons(batch, 36)
    make_comparisons(batch, 4, focus=Focus.SAFETY)
    pairs = list(batch.comparisons.order_by("pk"))
    for pair in pairs:
        topic = "Code" if pair.pk % 2 else "Law & order"
        Prompt.objects.filter(pk=pair.dialogue.prompt_id).update(category=topic)
    safe = SafetyLabel.BOTH_SAFE
    strengths = (SIG, BETTER, SLIGHTLY, NEGLIGIBLY)
    hers = [(A if n % 2 else B, strengths[n % 4]) for n in range(40)]
    his = [(choice if n % 4 else choice.other, grade) for n, (choice, grade) in enumerate(hers)]
    say(ada, pairs, [*hers[:36], *((choice, grade, safe) for choice, grade in hers[36:])])
    say(ben, pairs, [*his[:36], *((choice, grade, safe) for choice, grade in his[36:])])
    return batch


def address(name: str, batch: Batch, *arguments: object) -> str:
    return reverse(f"admin:annotation_batch_{name}", args=(batch.pk, *arguments))


def text_of(client: Client, path: str) -> str:
    """What is read on a page: no markup, blanks as one."""
    answer = client.get(path)
    assert answer.status_code == 200, answer
    page = answer.content.decode()
    (main,) = re.findall(r"<main class=\"m-page\">(.*)</main>", page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split()).replace(" .", ".")


# Who reads them.


@db
@pytest.mark.parametrize("role", [Role.ANNOTATOR, Role.REVIEWER])
@pytest.mark.parametrize("name", ["agreement", "people", "person"])
def test_only_researchers_read_them(as_user: AsUser, busy: Batch, role: Role, name: str) -> None:
    somebody = make_user("somebody", role=role)
    arguments = (somebody.pk,) if name == "person" else ()
    answer = as_user(somebody).get(address(name, busy, *arguments), follow=True)
    assert answer.status_code == 403


@db
def test_the_batch_leads_to_them(rosas: Client, busy: Batch) -> None:
    page = rosas.get(reverse("admin:annotation_batch_change", args=(busy.pk,))).content.decode()
    assert address("agreement", busy) in page
    assert address("people", busy) in page


# Agreement.


@db
def test_the_first_sentence_says_how_far_people_agree(rosas: Client, busy: Batch) -> None:
    text = text_of(rosas, address("agreement", busy))
    assert text.startswith(
        "On 40 pairs judged by 2 or more people, two of them chose the same response 75 % of the time; "
        "Gwet's AC2 with quadratic weights on the grade is "
    )


@db
def test_which_weighting_is_meant_is_said_of_every_figure(rosas: Client, busy: Batch) -> None:
    text = text_of(rosas, address("agreement", busy))
    for label in (
        "Percent agreement, identity weights",
        "Gwet's AC1, identity weights",
        "Gwet's AC2, ordinal weights",
        "Gwet's AC2, quadratic weights",
        "Fleiss' weighted kappa, quadratic weights",
        "Cohen's weighted kappa, ordinal weights",
        "Krippendorff's alpha, nominal metric",
        "Krippendorff's alpha, ordinal metric",
        "Krippendorff's alpha, interval metric",
    ):
        assert label in text
    assert "Ordinal weights are not the ordinal metric" in text
    assert "neither letter is favoured" in text


def test_every_coefficient_that_can_be_shown_is_explained() -> None:
    weighted = {
        (name, str(one)) for ones in WEIGHTINGS.values() for one in ones for name in ("percent", "gwet")
    }
    weighted |= {
        (name, str(one))
        for ones in WEIGHTINGS.values()
        for one in ones
        for name in ("fleiss", "cohen", "conger")
    }
    alphas = {("krippendorff", str(metric)) for metrics in METRICS.values() for metric in metrics}
    assert set(TO_READ) == weighted | alphas


@db
def test_pairs_are_chosen_by_a_closed_list(rosas: Client, busy: Batch) -> None:
    path = address("agreement", busy)
    assert text_of(rosas, f"{path}?focus=safety").startswith("On 4 pairs")
    assert text_of(rosas, f"{path}?topic=Law %26 order").startswith("On 20 pairs")
    assert text_of(rosas, f"{path}?focus=safety&topic=Code").startswith("On 2 pairs")
    assert text_of(rosas, f"{path}?focus=everything&grade=x&colour=red").startswith("On 40 pairs")


@db
def test_words_from_prompts_are_text_and_never_markup(rosas: Client, busy: Batch) -> None:
    Prompt.objects.filter(category="Code").update(category="<script>alert(1)</script>")
    page = rosas.get(address("agreement", busy)).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@db
def test_a_combination_without_pairs_says_so(rosas: Client, busy: Batch) -> None:
    path = f"{address('agreement', busy)}?risk=illicit"
    assert text_of(rosas, path).startswith("No pair of this kind has two judgments")


@db
@pytest.mark.parametrize(
    ("overlap", "sentence"),
    [
        (
            1,
            "Each pair is judged by one person, so there is nothing to compare. Plan a batch with an overlap of 2 or "
            "more.",
        ),
        (2, "No pair has two judgments yet, so there is nothing to compare."),
    ],
)
def test_without_a_second_opinion_the_page_says_what_would_fill_it(
    rosas: Client, ada: User, overlap: int, sentence: str
) -> None:
    batch = make_batch(overlap=overlap)
    say(ada, make_comparisons(batch, 1), [(A, BETTER)])
    assert text_of(rosas, address("agreement", batch)).startswith(sentence)


@db
def test_imported_votes_without_grades_have_their_agreement_on_the_choice(
    rosas: Client, ada: User, ben: User
) -> None:
    batch = make_batch(overlap=2)
    pairs = make_comparisons(batch, 4)
    say(ada, pairs, [(A, None), (A, None), (B, None), (B, None)])
    say(ben, pairs, [(A, None), (B, None), (B, None), (B, None)])
    text = text_of(rosas, address("agreement", batch))
    # Shares of A: 1, 1/2, 0, 0, so pe = 2 x 3/8 x 5/8 = 15/32 and AC1 = (3/4 - 15/32) / (17/32) = 9/17.
    assert "75 % of the time; Gwet's AC1 on the choice is 0.53 (95 % interval" in text
    assert "AC2, quadratic weights" not in text


@db
def test_two_people_are_held_against_each_other(rosas: Client, busy: Batch, ada: User, ben: User) -> None:
    page = rosas.get(address("agreement", busy)).content.decode()
    for person in (ada, ben):
        assert address("person", busy, person.pk) in page


# People.


@db
def test_the_worst_is_named_in_the_first_sentence(rosas: Client) -> None:
    batch = make_batch(overlap=4)
    people, pairs = crowd(4), make_comparisons(batch, 60)
    right = [(A if number % 2 else B, BETTER) for number in range(60)]
    for person in people[1:]:
        say(person, pairs, right)
    say(
        people[0],
        pairs,
        [(choice.other if n % 2 else choice, grade) for n, (choice, grade) in enumerate(right)],
    )
    text = text_of(rosas, address("people", batch))
    assert text.startswith(f"One person stands out: {people[0].pseudonym}.")
    assert "Agrees with the others on 50 % of 180 shared pairs; all others together on 100 %." in text
    order = [text.rindex(person.pseudonym) for person in people]
    assert min(order) == order[0]


@db
def test_nobody_stands_out(rosas: Client, busy: Batch, ada: User, ben: User) -> None:
    User.objects.filter(pk=ada.pk).update(paused_at=timezone.now(), pause_reason="A word, please.")
    User.objects.filter(pk=ben.pk).update(warned_at=timezone.now())
    text = text_of(rosas, address("people", busy))
    assert text.startswith("Nobody stands out among 2 people.")
    assert f"{ada.pseudonym} paused" in text
    assert f"{ben.pseudonym} warned" in text


@db
def test_nobody_has_judged_yet(rosas: Client) -> None:
    assert text_of(rosas, address("people", make_batch())).startswith(
        "Nobody has judged a pair of this batch yet."
    )


@db
def test_where_everybody_works_alone_the_page_says_what_it_can_tell(rosas: Client, ada: User) -> None:
    batch = make_batch()
    say(ada, make_comparisons(batch, 2), [(A, BETTER)] * 2)
    assert "nobody's agreement can be told" in text_of(rosas, address("people", batch))


@db
def test_many_people_come_in_pages(rosas: Client) -> None:
    batch = make_batch()
    pairs = make_comparisons(batch, 1)
    for person in crowd(SHOWN + 1):
        say(person, pairs, [(A, BETTER)])
    path = address("people", batch)
    assert f"Page 1 of 2, {SHOWN + 1} people" in text_of(rosas, path)
    assert text_of(rosas, f"{path}?page=2").count("person-") == 1


@db
def test_grades_are_told_in_words_beside_their_bar(rosas: Client, busy: Batch) -> None:
    page = rosas.get(address("people", busy)).content.decode()
    assert (
        'aria-label="significantly better 25 %, better 25 %, slightly better 25 %, negligibly better 25 %"'
        in page
    )


# One person.


@db
def test_a_person_has_every_figure_beside_the_others(
    rosas: Client, busy: Batch, ada: User, ben: User
) -> None:
    text = text_of(rosas, address("person", busy, ada.pk))
    assert text.startswith(
        f"{ada.pseudonym} (ada): 40 judgments in {busy}; the same choice as another person 75 %"
    )
    assert "the same on the scale of eight, with quadratic weights" in text
    for heading in ("Beside the others", "By grade", "By safety label", "With each of the others"):
        assert heading in text
    page = rosas.get(address("person", busy, ada.pk)).content.decode()
    assert reverse("admin:annotation_user_change", args=(ada.pk,)) in page
    assert address("person", busy, ben.pk) in page


@db
def test_who_judged_nothing_here_has_no_page(rosas: Client, busy: Batch, rosa: User) -> None:
    assert rosas.get(address("person", busy, rosa.pk)).status_code == 404
    assert rosas.get(reverse("admin:annotation_batch_people", args=(0,))).status_code == 404


@db
@pytest.mark.parametrize("name", ["agreement", "people"])
def test_more_people_cost_no_more_queries(
    rosas: Client, name: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (2, 12):
        batch = make_batch(overlap=count)
        pairs = make_comparisons(batch, 25)
        for person in crowd(count, f"of-{count}"):
            say(person, pairs, [(A, BETTER)] * 25)
        # The session, who asks, the batch; then what the page itself needs.
        with django_assert_num_queries({"agreement": 5, "people": 7}[name]):
            rosas.get(address(name, batch))


# Numbers.


def test_figures_are_written_as_people_read_them() -> None:
    assert [coefficient(value) for value in (0.526, -0.051, -0.001, None)] == ["0.53", "−0.05", "0.00", "—"]  # noqa: RUF001
    assert [points(value) for value in (0.124, -0.2, -0.001, None)] == ["+12", "−20", "0", "—"]  # noqa: RUF001
    assert [seconds(value) for value in (2.26, 31.4, 1234.0, None)] == ["2.3", "31", "1,234", "—"]


def test_a_plot_stays_inside_its_frame() -> None:
    for plot in (coefficient_plot(-3.0, -1.0, 1.0), share_plot(0.9, 1.0, 1.0, 0.0)):
        for left, width in re.findall(r'x="([\d.-]+)"[^>]*? width="([\d.]+)"', plot):
            assert 0 <= float(left) <= float(left) + float(width) <= 100.05
    assert coefficient_plot(None, 0.5, None) == ""
