"""What comes in: prompts, sampled pairs, imported judgments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest_django import DjangoAssertNumQueries

from annotation.core.formats.base import BadRow, ImportedJudgment, ImportedResponse, Tie
from annotation.core.grades import Choice, Focus, Grade
from annotation.errors import BatchSealedError, InvalidImportError
from annotation.models import Batch, Comparison, Judgment, Response, User
from annotation.services.batches import seal_batch
from annotation.services.ingest import (
    NewPair,
    NewResponse,
    ingest_judgments,
    ingest_pairs,
)

Item = ImportedJudgment | Tie | BadRow


def imported(
    line: int = 1, *, question: str = "Why?", choice: Choice = Choice.A, annotator: str = "E01"
) -> ImportedJudgment:
    return ImportedJudgment(
        line=line,
        messages=({"role": "user", "content": question},),
        response_a=ImportedResponse("Because."),
        response_b=ImportedResponse("No idea."),
        choice=choice,
        grade=Grade.BETTER,
        focus=Focus.HELPFULNESS,
        safety=None,
        annotator=annotator,
    )


def pair(first: str = "One.", second: str = "Two.") -> NewPair:
    return NewPair(
        messages=({"role": "user", "content": "Count."},),
        focus=Focus.HELPFULNESS,
        first=NewResponse(text=first, policy="V1", temperature=0.7, seed=1),
        second=NewResponse(text=second, policy="V0", temperature=1.0, seed=2),
    )


def test_the_same_file_twice_adds_nothing(week: Batch) -> None:
    items = [imported(), imported(2, question="How?")]
    first, second = (ingest_judgments(batch=week, items=items, origin="native") for _ in range(2))
    assert (first.judgments, second.judgments, second.already) == (2, 0, 2)
    assert Judgment.objects.count() == 2


def test_the_chosen_text_is_the_same_whichever_way_round_the_pair_came(week: Batch) -> None:
    ingest_judgments(batch=week, items=[imported()], origin="native")
    row = Judgment.objects.select_related("comparison__response_a", "comparison__response_b").get()
    chosen = row.comparison.response_a if row.choice == Choice.A else row.comparison.response_b
    assert chosen.text == "Because."


def test_one_bad_row_refuses_the_whole_file_and_lists_every_bad_row(week: Batch) -> None:
    items: list[Item] = [imported(), BadRow(2, "no prompt"), BadRow(7, "null completion")]
    with pytest.raises(InvalidImportError) as refused:
        ingest_judgments(batch=week, items=items, origin="native")
    assert refused.value.errors == [
        {"line": 2, "reason": "no prompt"},
        {"line": 7, "reason": "null completion"},
    ]
    assert not Judgment.objects.exists()
    assert not Response.objects.exists()


def test_skipping_bad_rows_takes_the_good_ones_and_reports_the_others(week: Batch) -> None:
    items: list[Item] = [imported(), BadRow(2, "no prompt"), Tie(3, "E01")]
    report = ingest_judgments(batch=week, items=items, origin="native", skip_invalid=True)
    assert (report.judgments, report.ties, len(report.bad_rows)) == (1, 1, 1)


def test_a_second_vote_of_one_annotator_on_one_pair_is_reported_and_left_out(week: Batch) -> None:
    items = [imported(), imported(2, choice=Choice.B)]
    report = ingest_judgments(batch=week, items=items, origin="native")
    assert (report.judgments, report.repeated) == (1, 1)


def test_two_annotators_judge_one_comparison(week: Batch) -> None:
    items = [imported(), imported(2, choice=Choice.B, annotator="E02")]
    report = ingest_judgments(batch=week, items=items, origin="native")
    assert (report.judgments, report.comparisons) == (2, 1)


def test_an_imported_annotator_cannot_sign_in(week: Batch) -> None:
    ingest_judgments(batch=week, items=[imported()], origin="native")
    person = User.objects.get(username="native:E01")
    assert not person.is_active
    assert not person.has_usable_password()
    assert not person.check_password("!")


def test_what_belongs_to_a_sealed_batch_is_not_touched_by_importing_it_again(week: Batch) -> None:
    ingest_judgments(batch=week, items=[imported()], origin="native")
    seal_batch(batch=week)
    other = Batch.objects.create(name="Other", number=9, state="open")
    report = ingest_judgments(batch=other, items=[imported(annotator="E05")], origin="native")
    assert (report.judgments, report.already) == (0, 1)


def test_a_sealed_batch_takes_no_import(week: Batch) -> None:
    seal_batch(batch=week)
    with pytest.raises(BatchSealedError):
        ingest_judgments(batch=week, items=[imported()], origin="native")


def test_an_import_costs_as_many_queries_for_fifty_rows_as_for_five(
    week: Batch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    few = [imported(i, question=f"few {i}") for i in range(5)]
    many = [imported(i, question=f"many {i}") for i in range(50)]
    ingest_judgments(batch=week, items=few, origin="native")
    with django_assert_max_num_queries(20):
        ingest_judgments(batch=week, items=many, origin="native")


def test_the_same_sampled_pairs_twice_add_nothing(week: Batch) -> None:
    assert [ingest_pairs(batch=week, pairs=[pair()]) for _ in range(2)] == [1, 0]


def test_two_equal_answers_are_no_comparison(week: Batch) -> None:
    assert ingest_pairs(batch=week, pairs=[pair("Same.", " Same. ")]) == 0


def test_the_place_of_a_response_says_nothing_about_its_policy(week: Batch) -> None:
    ingest_pairs(batch=week, pairs=[pair(f"One {i}.", f"Two {i}.") for i in range(40)])
    firsts = {c.response_a.policy for c in Comparison.objects.select_related("response_a")}
    assert firsts == {"V0", "V1"}


@pytest.mark.parametrize(
    ("text", "policy", "leak"),
    [
        ("I am ChatGPT, so yes.", "V1", "I am ChatGPT"),
        ("SmolLM2 says yes.", "org/smollm2", "SmolLM2"),
        ("V1 says yes.", "V1", ""),
        ("GPT-4 was released in 2023.", "V1", ""),
    ],
)
def test_words_that_name_the_model_are_kept_beside_the_response(
    week: Batch, text: str, policy: str, leak: str
) -> None:
    told = replace(pair(), first=NewResponse(text=text, policy=policy), second=NewResponse(text="Quiet."))
    ingest_pairs(batch=week, pairs=[told])
    assert dict(Response.objects.values_list("text", "leak")) == {text: leak, "Quiet.": ""}
