"""Questions about qualification: where a person stands on the way to a focus, what waits for reviewers, how the steps
do. Pages, admin and services ask here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.core.grades import Focus
from annotation.core.qualification import Place, Rules, Standing, Try, place_of, vote_of
from annotation.errors import NotFoundError
from annotation.models import (
    Attempt,
    AttemptAnswer,
    AttemptState,
    Certificate,
    Gold,
    QualificationStep,
    Question,
    StepKind,
    User,
)

OUTCOMES: Mapping[str, bool] = {AttemptState.PASSED: True, AttemptState.FAILED: False}


def rules_of(step: QualificationStep, asked: int) -> Rules:
    """The step's numbers, for the core; `asked` is how many questions it has."""
    return Rules(
        asked=asked,
        pass_share=step.pass_share,
        fewest=step.fewest,
        minutes=step.minutes,
        attempts=step.attempts,
        wait_hours=step.wait_hours,
        valid_days=step.valid_days,
    )


@dataclass(frozen=True, slots=True)
class StepPlace:
    """One step and where somebody stands there. `number` counts the steps of its focus from 1; `tries` are theirs,
    the newest first."""

    step: QualificationStep
    number: int
    rules: Rules
    place: Place
    tries: list[Attempt]

    @property
    def open_try(self) -> Attempt | None:
        return next((t for t in self.tries if t.state == AttemptState.OPEN), None)


@dataclass(frozen=True, slots=True)
class Way:
    """Somebody's way to one focus. `agreed`: they may be shown its texts; `certificate` stands, or has ended."""

    focus: Focus
    agreed: bool
    steps: list[StepPlace]
    certificate: Certificate | None

    @property
    def certified(self) -> bool:
        """Whether the certificate counts now."""
        standing = self.certificate
        return standing is not None and (standing.expires_at is None or standing.expires_at > timezone.now())

    @property
    def next(self) -> StepPlace | None:
        """The first step without a pass that counts, or else the first that may be taken again."""
        missing = (s for s in self.steps if not s.place.valid)
        again = (s for s in self.steps if s.place.standing in {Standing.READY, Standing.OPEN})
        return next(missing, None) or next(again, None)

    @property
    def complete(self) -> bool:
        return bool(self.steps) and all(s.place.valid for s in self.steps)


def ways_of(annotator: User, focuses: Iterable[Focus] = tuple(Focus)) -> list[Way]:
    """One for each focus that has steps in force. One query where there are none, four where there are."""
    rows = QualificationStep.objects.filter(active=True, focus__in=list(focuses))
    steps = list(rows.annotate(asked=Count("questions")).order_by("position"))
    if not steps:
        return []
    tries: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.filter(annotator=annotator, step__in=steps).order_by("number"):
        tries[attempt.step_id].append(attempt)
    held = list(Certificate.objects.filter(annotator=annotator).order_by("pk"))
    present = [focus for focus in Focus if any(step.focus == focus for step in steps)]
    return [_way(annotator, focus, [s for s in steps if s.focus == focus], tries, held) for focus in present]


def way_to(annotator: User, focus: Focus) -> Way | None:
    return next(iter(ways_of(annotator, (focus,))), None)


def _way(
    annotator: User,
    focus: Focus,
    steps: Sequence[Any],
    tries: Mapping[int, list[Attempt]],
    held: Sequence[Certificate],
) -> Way:
    own = [certificate for certificate in held if certificate.focus == focus]
    revoked = max((c.revoked_at for c in own if c.revoked_at), default=None)
    standing = next((c for c in own if c.revoked_at is None), None)
    now, reached, places = timezone.now(), True, []
    for number, step in enumerate(steps, start=1):
        rules = rules_of(step, step.asked)
        mine = tries.get(step.pk, [])
        told = [Try(OUTCOMES.get(t.state), t.ended_at) for t in mine]
        place = place_of(told, rules, now=now, reached=reached, since=revoked)
        places.append(StepPlace(step, number, rules, place, mine[::-1]))
        reached = reached and place.valid
    return Way(focus, focus in annotator.focuses, places, standing)


def step_for(annotator: User, pk: int) -> StepPlace:
    """A step in force, as this person finds it.

    Raises:
        NotFoundError: there is none.
    """
    found = (s for way in ways_of(annotator) for s in way.steps if s.step.pk == pk)
    if (place := next(found, None)) is None:
        raise NotFoundError(_("There is no such test."))
    return place


def attempt_for(annotator: User, pk: int) -> Attempt:
    """One of their own tries.

    Raises:
        NotFoundError: it is not theirs.
    """
    attempt = Attempt.objects.select_related("step").filter(annotator=annotator, pk=pk).first()
    if attempt is None:
        raise NotFoundError(_("There is no such test."))
    return attempt


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, from 1, and what was answered to it, if anything was."""

    number: int
    question: Question
    answer: AttemptAnswer | None

    @property
    def given(self) -> bool:
        return self.answer is not None and is_given(self.question, self.answer.value)


def is_given(question: Question, value: Any) -> bool:
    """Whether a stored answer is whole. `question` has its step at hand."""
    if question.step.kind == StepKind.RATING:
        return vote_of(value, Focus(question.step.focus)) is not None
    return bool(value)


def questions_of(step: QualificationStep) -> list[Question]:
    """In order, with what their pages show."""
    rows = Question.objects.filter(step=step).select_related(
        "step", "gold__dialogue", "gold__response_a", "gold__response_b"
    )
    return list(rows.order_by("position", "pk"))


def sheet_of(attempt: Attempt) -> list[Asked]:
    """All questions of a try with its answers."""
    answers = {answer.question_id: answer for answer in attempt.answers.all()}
    sheet = []
    for number, question in enumerate(questions_of(attempt.step), start=1):
        if (answer := answers.get(question.pk)) is not None:
            answer.question = question
        sheet.append(Asked(number, question, answer))
    return sheet


def preview_of(pk: int) -> tuple[QualificationStep, list[Asked]]:
    """A step as its takers will find it, in force or not.

    Raises:
        NotFoundError: there is none.
    """
    step = QualificationStep.objects.filter(pk=pk).first()
    if step is None:
        raise NotFoundError("There is no such test.")
    return step, [Asked(number, q, None) for number, q in enumerate(questions_of(step), start=1)]


def waiting_attempts() -> QuerySet[Attempt]:
    """What waits for a reviewer, the oldest first."""
    return Attempt.objects.filter(state=AttemptState.SUBMITTED).order_by("ended_at", "pk")


def free_gold(focus: str) -> QuerySet[Gold]:
    """Pairs with a known label that a rating question may ask for."""
    return Gold.objects.filter(focus=focus, active=True).select_related("dialogue__prompt")


@dataclass(frozen=True, slots=True)
class QuestionFigures:
    """Of the ended tries: how often a question was answered, and right; `points` is the mean of its reviews."""

    question: Question
    answered: int
    right: int
    points: float | None


@dataclass(frozen=True, slots=True)
class StepFigures:
    """How a step does. `tries` have a result; `hardest` was answered right least often, or earned the fewest points."""

    people: int
    tries: int
    passed: int
    waiting: int
    mean: float | None
    questions: list[QuestionFigures]
    hardest: QuestionFigures | None

    @property
    def pass_rate(self) -> float | None:
        return self.passed / self.tries if self.tries else None


def figures_of(step: QualificationStep) -> StepFigures:
    ended = Q(state__in=list(OUTCOMES))
    row = step.tries.aggregate(
        people=Count("annotator", distinct=True),
        ended=Count("pk", filter=ended),
        passed=Count("pk", filter=Q(state=AttemptState.PASSED)),
        waiting=Count("pk", filter=Q(state=AttemptState.SUBMITTED)),
        mean=Avg("score", filter=ended),
    )
    answers = AttemptAnswer.objects.filter(attempt__step=step, attempt__state__in=list(OUTCOMES)).order_by()
    counted = answers.values("question").annotate(
        answered=Count("pk"), good=Count("pk", filter=Q(right=True)), mean=Avg("points")
    )
    found = {r["question"]: (r["answered"], r["good"], r["mean"]) for r in counted}
    questions = [
        QuestionFigures(question, *found.get(question.pk, (0, 0, None))) for question in questions_of(step)
    ]
    return StepFigures(
        row["people"],
        row["ended"],
        row["passed"],
        row["waiting"],
        row["mean"],
        questions,
        _hardest(questions),
    )


def _hardest(questions: Sequence[QuestionFigures]) -> QuestionFigures | None:
    """An empty answer counts as wrong; writing is compared by points."""
    written = [q for q in questions if q.points is not None]
    if written:
        return min(written, key=lambda q: q.points or 0.0)
    answered = [q for q in questions if q.answered]
    return min(answered, key=lambda q: q.right) if answered else None


def with_step_counts(rows: QuerySet[QualificationStep]) -> QuerySet[QualificationStep]:
    """Adds `questions_n`, `tries_n` and `passed_n` (of tries with a result)."""
    return rows.annotate(
        questions_n=Count("questions", distinct=True),
        tries_n=Count("tries", filter=Q(tries__state__in=list(OUTCOMES)), distinct=True),
        passed_n=Count("tries", filter=Q(tries__state=AttemptState.PASSED), distinct=True),
    )
