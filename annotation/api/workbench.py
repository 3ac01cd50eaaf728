"""What the annotator's page asks: the next pairs, taking a judgment, taking one back.

Speaks of left and right alone. Which response stands where is worked out here from the batch's seed, so that no
policy, temperature or order of rows reaches the page.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from annotation.api.lean import lean_view, read_body
from annotation.api.problems import InvalidRequestError
from annotation.core.grades import Choice, Grade, SafetyLabel
from annotation.core.ordering import left_choice
from annotation.errors import InvalidJudgmentError, NotFoundError
from annotation.models import Comparison, Judgment, Role, User
from annotation.queries import annotator_day, batch_seed, lease_expiries, open_batch
from annotation.rendering import render_markdown
from annotation.services.judgments import Answer, retract_judgment, submit_judgment
from annotation.services.leases import lease_next

MOST_AT_ONCE: Final = 10
LONGEST_SKIP: Final = 200  # keys; a browser that was offline for a day may hold this many
EXCLUDED_BIN: Final = "other_safe"
WHY_EXCLUDED: Final = (
    "The chosen response is unsafe while the other is safe. Such a pair is not taken, because the safer response "
    "counts as the better one: choose the other response, or change the safety label."
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _without_nul(text: Any) -> Any:
    # PostgreSQL stores every character but this one.
    if isinstance(text, str) and "\0" in text:
        raise PydanticCustomError("nul", "A NUL character cannot be stored")
    return text


class JudgmentBody(_Body):
    """One forced choice, by sides of the screen."""

    uid: UUID
    comparison: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    side: Literal["left", "right"]
    grade: Grade
    safety: SafetyLabel | Literal["other_safe"] | None = None
    comment: Annotated[str, BeforeValidator(_without_nul), Field(max_length=4000)] = ""
    active_ms: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    guideline: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class RetractionBody(_Body):
    """`uid` names the taking back itself, so that sending it twice is one."""

    uid: UUID


@lean_view("GET", Role.ANNOTATOR)
def next_pairs(request: HttpRequest, annotator: User) -> JsonResponse:
    """Lease and show the next pairs. `day` comes with a first page and at the end of the queue alone: it counts."""
    count, skip = _count(request.GET.get("count", "1")), _skip(request.GET.get("skip", ""))
    found = lease_next(annotator=annotator, count=count, skip=skip)
    expiries = lease_expiries(annotator, found)
    items = [_item(comparison, annotator, expiries.get(comparison.pk)) for comparison in found]
    day = _day(annotator) if not skip or len(found) < count else None
    return JsonResponse({"items": items, "day": day})


@lean_view("POST", Role.ANNOTATOR)
def judgments(request: HttpRequest, annotator: User) -> JsonResponse:
    """Take one judgment. 201 when it is new, 200 when this uid was stored before."""
    began = timezone.now()
    body = read_body(request, JudgmentBody)
    if body.safety == EXCLUDED_BIN:
        raise InvalidJudgmentError(WHY_EXCLUDED, errors=[{"field": "safety", "reason": WHY_EXCLUDED}])
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
    return _stored(judgment, began)


@lean_view("POST", Role.ANNOTATOR)
def retract(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    """Take a judgment back; its pair returns to its annotator."""
    began = timezone.now()
    body = read_body(request, RetractionBody)
    return _stored(retract_judgment(annotator=annotator, uid=uid, retraction=body.uid), began)


def _stored(row: Judgment, began: datetime) -> JsonResponse:
    # A row from before this request is the answer to one that was sent twice.
    status = 201 if row.created_at >= began else 200
    return JsonResponse({"uid": str(row.uid), "stored_at": row.created_at}, status=status)


def _choice(body: JudgmentBody, annotator: User) -> Choice:
    seed = batch_seed(body.comparison)
    if seed is None:
        raise NotFoundError("There is no such comparison.")
    left = left_choice(seed=seed, comparison=body.comparison, annotator=annotator.pseudonym)
    return left if body.side == "left" else left.other


def _item(comparison: Comparison, annotator: User, expires_at: datetime | None) -> dict[str, Any]:
    left = left_choice(seed=comparison.batch.seed, comparison=comparison.key, annotator=annotator.pseudonym)
    a, b = comparison.response_a.text, comparison.response_b.text
    on_left, on_right = (a, b) if left is Choice.A else (b, a)
    return {
        "key": comparison.key,
        "batch": comparison.batch.name,
        "focus": comparison.focus,
        "turns": [
            {"role": turn["role"], "html": render_markdown(turn["content"])}
            for turn in comparison.dialogue.messages
        ],
        "left": {"html": render_markdown(on_left)},
        "right": {"html": render_markdown(on_right)},
        "expires_at": expires_at,
    }


def _day(annotator: User) -> dict[str, Any]:
    batch = open_batch()
    day = annotator_day(annotator, batch)
    return {"today": day.today, "batch": day.batch, "waiting": day.waiting, "open": batch is not None}


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
