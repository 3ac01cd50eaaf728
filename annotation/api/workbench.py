"""What the annotator's page asks: the next pairs, taking a judgment, taking one back.

Speaks of left and right alone. Which response stands where is worked out here from the batch's seed, so that no
policy, temperature or order of rows reaches the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.api.bodies import Body, Comment, Key, Milliseconds, Retraction, RowId
from annotation.api.items import item_of
from annotation.api.lean import lean_view, read_body, stored_answer
from annotation.api.problems import InvalidRequestError
from annotation.checking import feedback_on
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.errors import InvalidJudgmentError, NotFoundError
from annotation.models import Role, User
from annotation.queries import annotator_day, batch_seed, guideline_ids, lease_expiries, open_batch
from annotation.services.allocation import lease_next
from annotation.services.judgments import Answer, retract_judgment, submit_judgment

MOST_AT_ONCE: Final = 10
# How many pairs the page keeps behind the one on the screen. Where plenty wait, enough for a train ride without a
# connection; where few do, others want them too.
READY: Final = 3
TAKEN_ALONG: Final = 20
PLENTY: Final = 200
LONGEST_SKIP: Final = 200  # keys; a browser that was offline for a day may hold this many
EXCLUDED_BIN: Final = "other_safe"
WHY_EXCLUDED: Final = gettext_lazy(
    "The chosen response is unsafe while the other is safe. Such a pair is not taken, because the safer response "
    "counts as the better one: choose the other response, or change the safety label."
)


class JudgmentBody(Body):
    """One forced choice, by sides of the screen."""

    uid: UUID
    comparison: Key
    side: Literal["left", "right"]
    grade: Grade
    safety: SafetyLabel | Literal["other_safe"] | None = None
    comment: Comment = ""
    active_ms: Milliseconds | None = None
    guideline: RowId | None = None


@lean_view("GET", Role.ANNOTATOR)
def next_pairs(request: HttpRequest, annotator: User) -> JsonResponse:
    count, skip = _count(request.GET.get("count", "1")), _skip(request.GET.get("skip", ""))
    return JsonResponse(pairs_for(annotator, count, skip))


def pairs_for(annotator: User, count: int, skip: Sequence[str] = ()) -> dict[str, Any]:
    """Lease the next pairs. `day` comes with a first page and at the end of the queue alone: it counts rows."""
    found = lease_next(annotator=annotator, count=count, skip=skip)
    expiries = lease_expiries(annotator, found)
    items = [item_of(comparison, annotator, expiries.get(comparison.pk)) for comparison in found]
    day = _day(annotator) if not skip or len(found) < count else None
    return {"items": items, "day": day, "guidelines": guideline_ids()}


@lean_view("POST", Role.ANNOTATOR)
def judgments(request: HttpRequest, annotator: User) -> JsonResponse:
    """Take one judgment. 201 when it is new, 200 when this uid was stored before.

    `feedback` is null but after an attention check of a week that tells what was expected.
    """
    began = timezone.now()
    body = read_body(request, JudgmentBody)
    if body.safety == EXCLUDED_BIN:
        raise InvalidJudgmentError(
            str(WHY_EXCLUDED), errors=[{"field": "safety", "reason": str(WHY_EXCLUDED)}]
        )
    judgment = submit_judgment(
        annotator=annotator,
        comparison_key=body.comparison,
        uid=body.uid,
        answer=Answer(
            choice=_choice(body, annotator),
            grade=body.grade,
            safety=SafetyLabel(body.safety) if body.safety else None,
            comment=body.comment.strip(),
            active_ms=body.active_ms,
            guideline=body.guideline,
        ),
    )
    return stored_answer(judgment, began, feedback=feedback_on(judgment))


@lean_view("POST", Role.ANNOTATOR)
def retract(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    """Take a judgment back; its pair returns to its annotator."""
    began = timezone.now()
    body = read_body(request, Retraction)
    return stored_answer(retract_judgment(annotator=annotator, uid=uid, retraction=body.uid), began)


def _choice(body: JudgmentBody, annotator: User) -> Choice:
    seed = batch_seed(body.comparison)
    if seed is None:
        raise NotFoundError(_("There is no such comparison."))
    left = left_choice(seed=seed, comparison=body.comparison, annotator=annotator.pseudonym)
    return left if body.side == "left" else left.other


def _day(annotator: User) -> dict[str, Any]:
    batch = open_batch()
    day = annotator_day(annotator, batch)
    many = sum(day.waiting.values()) >= PLENTY
    return {
        "today": day.today,
        "batch": day.batch,
        "waiting": day.waiting,
        "safety_waiting": day.safety_waiting,
        "open": batch is not None,
        "paused": annotator.pause_reason,
        "target": batch.daily_target if batch else 0,
        "stock": TAKEN_ALONG if many else READY,
    }


def _count(text: str) -> int:
    # isdecimal admits digits of every script, and int reads them all.
    if not (text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MOST_AT_ONCE):
        reason = f"A whole number from 1 to {MOST_AT_ONCE}."
        raise InvalidRequestError(f"count is {reason.lower()}", errors=[{"field": "count", "reason": reason}])
    return int(text)


def _skip(text: str) -> list[str]:
    keys = [key for key in text.split(",") if key]
    if len(keys) > LONGEST_SKIP or any(len(key) != 32 for key in keys):
        reason = f"At most {LONGEST_SKIP} keys of comparisons, separated by commas."
        raise InvalidRequestError("skip is not a list of keys.", errors=[{"field": "skip", "reason": reason}])
    return keys
