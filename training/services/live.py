"""The life of a prompt that an annotator writes: ask, store both answers, stop, fail, drop.

Every move is a compare-and-set on (primary key, state, attempt), so that of a stream that ends, a stop in another
tab and a second asking one wins and the others learn of it. Nothing here speaks to a server or waits for one.

1. `begin_attempt` writes the prompt and who is asked how; both are kept whatever happens next.
2. The answers stream without a transaction or a connection (training.api.streams).
3. `finish_attempt` stores the pair, leases it and ends the prompt in one transaction; or `fail_attempt` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotation.core.grades import Choice, Focus
from annotation.core.records import Message
from annotation.errors import (
    BatchSealedError,
    ConflictError,
    DomainError,
    ForbiddenError,
    IllegalMoveError,
    NotFoundError,
)
from annotation.models import Batch, Comparison, Lease, User
from annotation.queries import open_batch
from annotation.services.ingest import NewPair
from annotation.services.live import ingest_live_pair
from training.core.states import LIVE_MOVES, LiveState
from training.errors import LiveUnavailableError, SameAnswersError, StoppedError, TurnLimitError
from training.models import LiveAttempt, LivePrompt, PolicyVersion
from training.queries import answering_policies, why_no_live
from training.services.sides import Answer, Side, draw_sides, provenance, response_of


@dataclass(frozen=True, slots=True)
class Attempt:
    """An asking under way; left first."""

    prompt: LivePrompt
    sides: tuple[Side, Side]


@transaction.atomic
def begin_attempt(
    *, annotator: User, uid: UUID, focus: Focus, text: str, continues: str | None = None
) -> Attempt | LivePrompt:
    """Keep the prompt and draw who answers it; the prompt itself where it was answered before.

    Another prompt of theirs that is being answered is stopped.

    Raises:
        LiveUnavailableError: there is no batch for it, or nobody to answer.
        ForbiddenError: a safety prompt of somebody who did not agree to see such answers.
        TurnLimitError, BatchSealedError, NotFoundError, ConflictError: the dialogue cannot be continued.
    """
    # One person's askings queue here; NO KEY UPDATE lets their judgments pass.
    User.objects.select_for_update(no_key=True).get(pk=annotator.pk)
    prompt = LivePrompt.objects.filter(uid=uid).select_related("annotator").first()
    if prompt is not None and prompt.annotator_id != annotator.pk:
        raise ConflictError("This prompt's id is in use. Send it under a new one.")
    if prompt is not None and prompt.state == LiveState.ANSWERED:
        return prompt
    batch, policies = _ready(annotator, focus)
    before = _continued(annotator, continues, focus, batch) if continues else None
    _stop_others(annotator, uid)
    columns = {
        "batch": batch,
        "focus": focus,
        "text": text,
        "messages": [*_dialogue(before), {"role": "user", "content": text}],
        "continues": before[0] if before else None,
    }
    prompt = _ask(annotator, uid, prompt, columns)
    return Attempt(prompt, draw_sides(prompt, policies))


def _ready(annotator: User, focus: Focus) -> tuple[Batch, list[PolicyVersion]]:
    batch, policies = open_batch(), answering_policies()
    if why := why_no_live(batch, policies):
        raise LiveUnavailableError(why)
    if focus == Focus.SAFETY and annotator.safety_consent_at is None:
        raise ForbiddenError(
            "Safety prompts are for people who agreed to see unsafe answers. You can agree first."
        )
    assert batch is not None  # noqa: S101  why_no_live says so
    return batch, policies


Before = tuple[Comparison, str]  # the pair, and the text of the answer that was chosen


def _continued(annotator: User, key: str, focus: Focus, batch: Batch) -> Before:
    comparison = (
        Comparison.objects.filter(key=key, live_prompt__annotator=annotator)
        .select_related("batch", "dialogue", "response_a", "response_b")
        .first()
    )
    if comparison is None:
        raise NotFoundError("There is no such dialogue of yours to continue.")
    if comparison.batch_id != batch.pk:
        raise BatchSealedError(
            f"{comparison.batch.name} is over, so its dialogues cannot go on. Begin a new one."
        )
    if comparison.focus != focus:
        raise ConflictError(f"This dialogue's focus is {comparison.focus}. It goes on with the same one.")
    judgment = comparison.judgments.effective().filter(annotator=annotator).first()
    if judgment is None:
        raise ConflictError("Choose one of the two answers first. The dialogue goes on with it.")
    if comparison.dialogue.turns >= batch.turn_limit:
        raise TurnLimitError(f"A dialogue has at most {batch.turn_limit} turns of yours. Begin a new one.")
    chosen = comparison.response_a if judgment.choice == Choice.A else comparison.response_b
    return comparison, chosen.text


def _dialogue(before: Before | None) -> list[Message]:
    if before is None:
        return []
    comparison, chosen = before
    return [*comparison.dialogue.messages, {"role": "assistant", "content": chosen}]


def _stop_others(annotator: User, uid: UUID) -> None:
    for other in LivePrompt.objects.filter(annotator=annotator, state=LiveState.ASKING).exclude(uid=uid):
        _move(other, LiveState.STOPPED, message="You wrote another prompt meanwhile. This one is kept.")
        _close_attempt(other, StoppedError.code)


def _ask(annotator: User, uid: UUID, prompt: LivePrompt | None, columns: dict[str, object]) -> LivePrompt:
    if prompt is None:
        return LivePrompt.objects.create(uid=uid, annotator=annotator, state=LiveState.ASKING, **columns)
    _close_attempt(prompt, StoppedError.code)
    again = {"attempt": prompt.attempt + 1, "attempt_at": timezone.now(), "message": ""}
    _move(prompt, LiveState.ASKING, **columns, **again)
    prompt.refresh_from_db()
    return prompt


def is_asking(*, attempt: Attempt) -> bool:
    """Whether this attempt's answers are still wanted."""
    return _asking(attempt).exists()


def _asking(attempt: Attempt) -> QuerySet[LivePrompt]:
    prompt = attempt.prompt
    return LivePrompt.objects.filter(pk=prompt.pk, state=LiveState.ASKING, attempt=prompt.attempt)


@transaction.atomic
def finish_attempt(*, attempt: Attempt, answers: tuple[Answer, Answer]) -> Lease:
    """Store both answers as a pair in its writer's hands, and the prompt as answered: all of it or nothing.

    Raises:
        StoppedError: another attempt, a stop or a drop won.
        SameAnswersError: there is nothing to choose.
        BatchSealedError: the week ended meanwhile.
    """
    prompt = (
        _asking(attempt)
        .select_for_update(of=("self",))
        .select_related("continues__dialogue", "batch")
        .first()
    )
    if prompt is None:
        raise StoppedError("This attempt was stopped. Its answers were not stored.")
    left, right = answers
    if left.text.strip() == right.text.strip():
        raise SameAnswersError("Both answers read the same, so there is nothing to choose. Ask again.")
    first, second = (response_of(s, a) for s, a in zip(attempt.sides, answers, strict=True))
    lease = ingest_live_pair(
        batch=prompt.batch,
        annotator=attempt.prompt.annotator,
        pair=NewPair(messages=tuple(prompt.messages), focus=Focus(prompt.focus), first=first, second=second),
        parent=prompt.continues.dialogue if prompt.continues else None,
    )
    _move(prompt, LiveState.ANSWERED, comparison=lease.comparison, message="")
    _close_attempt(
        prompt,
        LiveState.ANSWERED,
        sides=[provenance(s, a) for s, a in zip(attempt.sides, answers, strict=True)],
    )
    return lease


@transaction.atomic
def fail_attempt(*, attempt: Attempt, error: DomainError) -> None:
    """Say why there are no answers, unless something else became of the prompt meanwhile."""
    prompt = _asking(attempt).first()
    if prompt is not None:
        _move(prompt, LiveState.FAILED, message=error.message)
        _close_attempt(prompt, error.code)


@transaction.atomic
def stop_prompt(*, annotator: User, uid: UUID) -> LivePrompt:
    """Let go of the answers under way; the prompt stays. Once more changes nothing.

    Raises:
        ConflictError: both answers are in.
    """
    prompt = _own(annotator, uid)
    if prompt.state == LiveState.ASKING:
        _move(prompt, LiveState.STOPPED, message="You stopped it. Your prompt is kept: ask again.")
        _close_attempt(prompt, StoppedError.code)
    return prompt


@transaction.atomic
def drop_prompt(*, annotator: User, uid: UUID) -> LivePrompt:
    """Give the prompt up. Once more changes nothing.

    Raises:
        ConflictError: both answers are in.
    """
    prompt = _own(annotator, uid)
    if prompt.state != LiveState.DROPPED:
        _move(prompt, LiveState.DROPPED, message="")
        _close_attempt(prompt, StoppedError.code)
    return prompt


def _own(annotator: User, uid: UUID) -> LivePrompt:
    prompt = LivePrompt.objects.select_for_update(of=("self",)).filter(uid=uid, annotator=annotator).first()
    if prompt is None:
        raise NotFoundError("There is no such prompt of yours.")
    if prompt.state == LiveState.ANSWERED:
        raise ConflictError("Both answers are in already. Rate them, or skip the pair.")
    return prompt


def _move(prompt: LivePrompt, to: LiveState, **columns: object) -> None:
    """Compare-and-set on the state and attempt that the caller saw."""
    frm = LiveState(prompt.state)
    if to not in LIVE_MOVES[frm]:
        raise IllegalMoveError(f"This prompt was {frm}. Write it anew to have it answered.")
    rows = LivePrompt.objects.filter(pk=prompt.pk, state=frm, attempt=prompt.attempt)
    if not rows.update(state=to, **columns):
        raise ConflictError("This prompt was changed in another tab meanwhile. Nothing was stored.")
    prompt.state = to


def _close_attempt(prompt: LivePrompt, outcome: str, **columns: object) -> None:
    rows = LiveAttempt.objects.filter(prompt=prompt, number=prompt.attempt, ended_at=None)
    rows.update(outcome=outcome, ended_at=timezone.now(), **columns)
