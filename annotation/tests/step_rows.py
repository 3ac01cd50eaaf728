"""Makers of qualification steps, through the services."""

from __future__ import annotations

from typing import Any

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.records import Message, content_key, dialogue_key, prompt_key
from annotation.models import Attempt, Dialogue, Gold, Prompt, QualificationStep, Response, StepKind, User
from annotation.qualifying import questions_of
from annotation.services.qualification import save_answers, start_attempt, submit_attempt
from annotation.services.steps import QuestionDraft, StepDraft, activate_step, add_question, create_step


def make_step(
    kind: StepKind,
    *questions: QuestionDraft,
    focus: Focus = Focus.HELPFULNESS,
    active: bool = True,
    **told: Any,
) -> QualificationStep:
    step = create_step(focus=focus, kind=kind, draft=StepDraft(**{"title": f"A {kind}", **told}), by=None)
    for question in questions:
        add_question(step=step, draft=question, by=None)
    return activate_step(step=step, by=None) if active else step


def make_quiz(count: int = 4, **told: Any) -> QualificationStep:
    """Questions whose first of three options is right."""
    questions = [
        QuestionDraft(
            text=f"Question {n}?",
            options=(f"right {n}", f"wrong {n}", f"other {n}"),
            right=(0,),
            explanation=f"Because of {n}.",
        )
        for n in range(1, count + 1)
    ]
    return make_step(StepKind.QUIZ, *questions, **told)


def make_writing(count: int = 3, **told: Any) -> QualificationStep:
    questions = [QuestionDraft(text=f"Write number {n}.") for n in range(1, count + 1)]
    return make_step(StepKind.WRITING, *questions, **told)


def make_gold(count: int = 1, *, focus: Focus = Focus.HELPFULNESS, **columns: Any) -> list[Gold]:
    """Pairs of which response A is better, and safe where that is asked."""
    if focus is Focus.SAFETY:
        columns.setdefault("safety", SafetyLabel.CHOSEN_SAFE)
    columns = {"choice": Choice.A, "grade": Grade.BETTER, **columns}
    start = Gold.objects.count()
    return [
        Gold.objects.create(**_pair(n, focus), focus=focus, **columns) for n in range(start, start + count)
    ]


def _pair(number: int, focus: Focus) -> dict[str, Any]:
    text = f"Known {number}: what about {focus}?"
    prompt = Prompt.objects.create(key=prompt_key(text), text=text, focus=focus)
    messages: list[Message] = [{"role": "user", "content": text}]
    dialogue = Dialogue.objects.create(key=dialogue_key(messages), prompt=prompt, messages=messages, turns=1)
    a, b = (
        Response.objects.create(key=content_key("response", number, name), dialogue=dialogue, text=words)
        for name, words in (("a", f"A good answer to {number}."), ("b", f"A poor answer to {number}."))
    )
    return {"dialogue": dialogue, "response_a": a, "response_b": b}


def make_rating(count: int = 3, *, focus: Focus = Focus.HELPFULNESS, **told: Any) -> QualificationStep:
    questions = [QuestionDraft(gold=gold) for gold in make_gold(count, focus=focus)]
    return make_step(StepKind.RATING, *questions, focus=focus, **told)


def answers_to(step: QualificationStep, *, right: int) -> dict[int, Any]:
    """Whole answers to all its questions, the first `right` of which are right."""
    found: dict[int, Any] = {}
    for number, question in enumerate(questions_of(step)):
        good = number < right
        if step.kind == StepKind.QUIZ:
            found[question.pk] = [0 if good else 1]
        elif step.kind == StepKind.RATING:
            value = {"choice": "a" if good else "b", "grade": "better"}
            found[question.pk] = value | ({"safety": "chosen_safe"} if step.focus == Focus.SAFETY else {})
        else:
            found[question.pk] = f"A prompt of {number}."
    return found


def take(step: QualificationStep, annotator: User, *, right: int) -> Attempt:
    """A whole try, handed in."""
    attempt = start_attempt(annotator=annotator, step=step)
    save_answers(attempt=attempt, values=answers_to(step, right=right))
    return submit_attempt(attempt=attempt)


def texts(step: QualificationStep) -> list[str]:
    return [question.text for question in questions_of(step)]


def in_force(focus: Focus = Focus.HELPFULNESS) -> list[str]:
    rows = QualificationStep.objects.filter(focus=focus, active=True).order_by("position")
    return [row.title for row in rows]
