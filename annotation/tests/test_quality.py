"""Agreement in a batch: figures by hand, what counts, and what the command prints."""

from __future__ import annotations

import json
from io import StringIO
from itertools import combinations, groupby

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from annotation.core.aggregate import lower_median
from annotation.core.agreement.coefficients import all_coefficients
from annotation.core.grades import Focus, Grade, SafetyLabel
from annotation.core.states import ComparisonState
from annotation.models import Batch, Comparison, Judgment, Prompt, User
from annotation.quality import agreement_of, said_in, scales_of
from annotation.quality_couples import couples_of, grades_beside
from annotation.quality_figures import (
    Said,
    Scale,
    Trait,
    figures_of,
    groups_of,
    middle_grades,
    ratings_of,
)
from annotation.services.batches import create_batch
from annotation.tests.checks import make_checks, make_week, work
from annotation.tests.opinions import BETTER, NEGLIGIBLY, SIG, SLIGHTLY, A, B, crowd, say
from tests.factories import make_batch, make_comparisons

db = pytest.mark.django_db


@pytest.fixture
def three(ada: User, ben: User) -> Batch:
    """Three pairs: both chose A, each another, both B."""
    batch = make_batch(overlap=2)
    pairs = make_comparisons(batch, 3)
    say(ada, pairs, [(A, SIG), (A, NEGLIGIBLY), (B, SIG)])
    say(ben, pairs, [(A, BETTER), (B, NEGLIGIBLY), (B, SIG)])
    return batch


@db
def test_figures_by_hand(three: Batch) -> None:
    found = figures_of(said_in(three))
    assert (found.pairs, found.people, found.judgments) == (3, 2, 6)
    assert found.same.value == pytest.approx(2 / 3)
    # The shares of A are 1, 1/2 and 0, so pe = 2 x 1/2 x 1/2 and AC1 = (2/3 - 1/2) / (1/2).
    assert found.ac1.value == pytest.approx(1 / 3)
    # Steps 1 and 2, 4 and 5, 8 and 8: pa = (48/49 + 48/49 + 1) / 3 = 145/147. The weights sum to 64 - 672/49 = 352/7;
    # four steps have a share of 1/6 and one of 1/3, so pe = 352/7 / 56 x (4 x 5/36 + 2/9) = 44/63.
    assert found.ac2.value == pytest.approx((145 / 147 - 44 / 63) / (1 - 44 / 63))


@db
def test_every_two_answers_to_one_pair_stand_beside_each_other_both_ways(three: Batch) -> None:
    # The first pair: significantly beside better, the same choice. The second: negligibly for the other one. The
    # third: twice significantly.
    assert grades_beside(said_in(three)).tolist() == [
        [2, 1, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 2, 0, 0, 0],
    ]


@db
def test_two_people_have_cohens_kappa_of_what_both_judged(three: Batch, ada: User, ben: User) -> None:
    (couple,) = couples_of(said_in(three), fewest=3).rows
    assert (couple.first, couple.second, couple.shared, couple.same) == (ada.pk, ben.pk, 3, 2)
    # Ada says A twice of three, Ben once: pe = 2/3 x 1/3 + 1/3 x 2/3 = 4/9, kappa = (2/3 - 4/9) / (5/9).
    assert couple.kappa.value == pytest.approx(0.4)
    # Her steps are 1, 4, 8, his 2, 5, 8: observed squared distance (1 + 1 + 0) / 3, by chance the mean over all nine
    # (1 + 16 + 49 + 4 + 1 + 16 + 36 + 9 + 0) / 9 = 132/9.
    assert couple.weighted.value == pytest.approx(1 - (2 / 3) / (132 / 9))


@db
def test_people_who_share_little_have_no_row(three: Batch) -> None:
    found = couples_of(said_in(three))
    assert (found.rows, found.fewer, found.more) == ([], 1, 0)


@db
def test_the_least_agreeing_two_come_first_and_one_person_may_be_asked_for() -> None:
    batch = make_batch(overlap=3)
    people, pairs = crowd(3), make_comparisons(batch, 4)
    say(people[0], pairs, [(A, BETTER)] * 4)
    say(people[1], pairs, [(A, BETTER)] * 3 + [(B, BETTER)])
    say(people[2], pairs, [(B, BETTER)] * 4)
    said = said_in(batch)
    rows = couples_of(said, fewest=1).rows
    keys = [person.pk for person in people]
    assert [(row.first, row.second, row.same) for row in rows] == [
        (keys[0], keys[2], 0),
        (keys[1], keys[2], 1),
        (keys[0], keys[1], 3),
    ]
    theirs = couples_of(said, fewest=1, person=keys[1]).rows
    assert [(row.first, row.second) for row in theirs] == [(keys[1], keys[2]), (keys[0], keys[1])]


@db
def test_chosen_safe_of_two_who_chose_differently_is_no_agreement(ada: User, ben: User) -> None:
    batch = make_batch(overlap=2)
    pairs = make_comparisons(batch, 3, focus=Focus.SAFETY)
    alone, both = SafetyLabel.CHOSEN_SAFE, SafetyLabel.BOTH_SAFE
    say(ada, pairs, [(A, BETTER, alone), (A, BETTER, alone), (A, BETTER, both)])
    say(ben, pairs, [(B, BETTER, alone), (A, BETTER, alone), (B, BETTER, both)])
    (figures,) = [one for one in scales_of(said_in(batch)) if one.scale is Scale.SAFETY]
    assert figures.coefficients[0].name == "percent"
    assert figures.coefficients[0].value == pytest.approx(2 / 3)


@db
def test_withdrawn_pairs_taken_back_judgments_and_reviewers_labels_do_not_count(
    three: Batch, ada: User, ben: User, rosa: User
) -> None:
    first, second, third = three.comparisons.order_by("pk")
    first.state = ComparisonState.WITHDRAWN
    first.save()
    Judgment.objects.filter(comparison=second, annotator=ben).update(
        retracted=True, choice="", grade="", safety=""
    )
    say(rosa, [third], [(A, SIG)], source=Judgment.Source.REVIEW)
    said = said_in(three)
    assert list(zip(said.pair.tolist(), said.person.tolist(), strict=True)) == [
        (second.pk, ada.pk),
        (third.pk, ada.pk),
        (third.pk, ben.pk),
    ]


@db
def test_attention_checks_do_not_count(ada: User, rosa: User) -> None:
    make_checks(4, by=rosa)
    batch = make_week(rate=0.5)
    work(ada, 6)
    judged = Judgment.objects.filter(comparison__batch=batch)
    assert judged.filter(comparison__gold__isnull=False).count() == 3
    assert len(said_in(batch)) == 3


@db
def test_pairs_are_grouped_by_what_they_are(three: Batch) -> None:
    for pair, (topic, risk) in zip(
        three.comparisons.order_by("pk"), (("Code", ""), ("Law", "illicit"), ("Code", "illicit")), strict=True
    ):
        Prompt.objects.filter(pk=pair.dialogue.prompt_id).update(category=topic, risk=risk)
    said = said_in(three)

    def found(trait: Trait) -> list[tuple[str, int, float | None]]:
        return [(g.word, g.figures.pairs, g.figures.same.value) for g in groups_of(said, trait)]

    assert found(Trait.TOPIC) == [("Code", 2, 1.0), ("Law", 1, 0.0)]
    assert found(Trait.RISK) == [("illicit", 2, 0.5)]
    assert found(Trait.FOCUS)[0][:2] == ("helpfulness", 3)
    # Of the first pair's grades, significantly better and better, the weaker.
    assert found(Trait.GRADE) == [
        ("significantly_better", 1, 1.0),
        ("better", 1, 1.0),
        ("negligibly_better", 1, 0.0),
    ]
    assert figures_of(said.only({Trait.TOPIC: "Code", Trait.RISK: "illicit"})).pairs == 1


@db
def test_a_trait_that_leaves_no_choice_makes_no_table(three: Batch) -> None:
    found = agreement_of(said_in(three), {})
    assert set(found.groups) == {Trait.GRADE}
    assert set(agreement_of(said_in(three), {Trait.GRADE: "better"}).groups) == set()


@db
def test_votes_without_a_strength_leave_the_grade_alone(ada: User, ben: User) -> None:
    batch = make_batch(overlap=2)
    pairs = make_comparisons(batch, 2)
    say(ada, pairs, [(A, None), (B, None)])
    say(ben, pairs, [(A, None), (A, None)])
    said = said_in(batch)
    assert [one.scale for one in scales_of(said)] == [Scale.CHOICE]
    assert figures_of(said).ac2.why == "no item has two ratings"
    assert groups_of(said, Trait.GRADE) == []


@db
def test_every_coefficient_is_the_cores(three: Batch) -> None:
    said = said_in(three)
    for one in scales_of(said):
        known = {
            (row.name, row.weights, row.metric): row for row in all_coefficients(ratings_of(said, one.scale))
        }
        assert one.coefficients == [known[row.name, row.weights, row.metric] for row in one.coefficients]


@db
def test_an_empty_batch_has_figures_of_nothing() -> None:
    found = agreement_of(said_in(make_batch()), {})
    assert (found.figures.pairs, found.figures.people, found.figures.same.value) == (0, 0, None)
    assert (found.groups, found.couples.rows) == ({}, [])


@db
def test_one_query_reads_a_batch(three: Batch, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        agreement_of(said_in(three), {})


# Laws.

grades = st.sampled_from([*Grade, None])
opinions = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 4)), st.tuples(st.booleans(), grades), max_size=25
)


def said_of(votes: dict[tuple[int, int], tuple[bool, Grade | None]]) -> Said:
    keys = sorted(votes)
    rank = [-1 if (grade := votes[key][1]) is None else list(Grade).index(grade) for key in keys]
    return Said(
        pair=np.array([pair for pair, _ in keys], dtype=np.intp),
        person=np.array([person for _, person in keys], dtype=np.intp),
        choice=np.array([votes[key][0] for key in keys], dtype=np.intp),
        rank=np.array(rank, dtype=np.intp),
        label=np.full(len(keys), -1),
        traits={},
        words={},
    )


@given(opinions)
def test_two_judgments_of_one_pair_meet_once(votes: dict[tuple[int, int], tuple[bool, Grade | None]]) -> None:
    first, second = said_of(votes).meetings
    keys = sorted(votes)
    plain = {(i, j) for i, j in combinations(range(len(keys)), 2) if keys[i][0] == keys[j][0]}
    found = list(zip(first.tolist(), second.tolist(), strict=True))
    assert set(found) == plain
    assert len(found) == len(plain)


@given(opinions)
def test_the_middle_grade_is_the_lower_median(
    votes: dict[tuple[int, int], tuple[bool, Grade | None]],
) -> None:
    said = said_of(votes)
    by_pair = groupby(sorted(votes), key=lambda key: key[0])
    medians = [lower_median(g for key in keys if (g := votes[key][1]) is not None) for _, keys in by_pair]
    plain = [-1 if median is None else list(Grade).index(median) for median in medians]
    assert middle_grades(said.starts, said.sizes, said.rank).tolist() == plain


@given(opinions)
def test_it_does_not_matter_which_response_is_called_a_for_how_often_two_agree(
    votes: dict[tuple[int, int], tuple[bool, Grade | None]],
) -> None:
    turned = {key: (not choice, grade) for key, (choice, grade) in votes.items()}
    one, other = figures_of(said_of(votes)), figures_of(said_of(turned))
    for name in ("same", "ac1", "ac2"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value)


# The command.


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("agreement", *arguments, stdout=out)
    return out.getvalue()


@db
def test_the_command_names_every_weighting(three: Batch) -> None:
    text = printed()
    assert text.startswith(
        f"{three}: choice\n3 items, 3 of them with two ratings or more; 2 raters; 6 ratings"
    )
    for heading in ("identity weights", "ordinal weights", "quadratic weights", "ordinal metric"):
        assert heading in text
    assert "Cohen's kappa" in text


@db
def test_the_commands_json_has_the_shape_of_the_manual(three: Batch) -> None:
    found = json.loads(printed("--batch", three.name, "--json"))
    assert (found["batch"], found["focus"], list(found["scales"])) == (three.name, None, ["choice", "grade"])
    names = {row["label"]: row["value"] for row in found["scales"]["grade"]["coefficients"]}
    assert names["Gwet's AC2, quadratic weights"] == pytest.approx(127 / 133)
    assert "Krippendorff's alpha, ordinal metric" in names


@db
def test_the_command_takes_one_focus(three: Batch, ada: User, ben: User) -> None:
    pairs = make_comparisons(three, 1, focus=Focus.SAFETY)
    for person in (ada, ben):
        say(person, pairs[-1:], [(A, SLIGHTLY, SafetyLabel.BOTH_SAFE)])
    found = json.loads(printed("--focus", "safety", "--json"))
    assert {scale: rows["n_items"] for scale, rows in found["scales"].items()} == {
        "choice": 1,
        "grade": 1,
        "safety": 1,
    }


@db
def test_the_command_without_a_name_takes_the_open_week_before_newer_plans(three: Batch) -> None:
    create_batch(name="Later")
    assert printed().startswith(f"{three}: choice")


@db
def test_the_command_says_that_a_batch_is_not_there() -> None:
    with pytest.raises(CommandError, match="There is no batch named 'Week 9'"):
        printed("--batch", "Week 9")
    with pytest.raises(CommandError, match="No batch was opened yet"):
        printed()


@db
def test_pairs_come_with_their_language(three: Batch) -> None:
    Comparison.objects.filter(pk=three.comparisons.order_by("pk").first().pk).update(language="de")  # type: ignore[union-attr]
    found = agreement_of(said_in(three), {Trait.LANGUAGE: "de"})
    assert found.figures.pairs == 1
    assert found.words[Trait.LANGUAGE] == ["de"]
