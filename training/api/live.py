"""What the annotator's page asks of live prompts: whether they are possible, two answers, stopping, giving up.

Speaks of left and right alone. No policy, temperature, seed or address of a server leaves by this door.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from annotation.api.bodies import Body, Empty, Key, without_nul
from annotation.api.lean import lean_view, read_body
from annotation.core.grades import Focus
from annotation.models import Role, User
from annotation.queries import open_batch
from annotation.rendering import render_markdown
from training.api.streams import Telling, item_line, stream, stream_async
from training.models import LivePrompt
from training.queries import answering_policies, live_comparison, open_live_prompt, why_no_live
from training.services.live import begin_attempt, drop_prompt, stop_prompt

LONGEST_PROMPT: Final = 20_000  # characters
LONGEST_BODY: Final = (
    8 * LONGEST_PROMPT
)  # bytes; JSON may write a character as twelve, but nobody's browser does
MEDIA_TYPE: Final = "application/x-ndjson"


def _text(text: Any) -> Any:
    if isinstance(text, str) and not text.strip():
        raise PydanticCustomError("empty", "Write a prompt first")
    return without_nul(text)


class PromptBody(Body):
    """A prompt; `continues` is the key of the pair whose chosen answer comes before it."""

    uid: UUID
    focus: Focus
    text: Annotated[str, BeforeValidator(_text), Field(max_length=LONGEST_PROMPT), AfterValidator(str.strip)]
    continues: Key | None = None


def live(request: HttpRequest) -> HttpResponseBase:
    """GET: what is possible now, and a prompt that waits. POST: ask for two answers."""
    return offer(request) if request.method == "GET" else ask(request)


@lean_view("GET", Role.ANNOTATOR)
def offer(request: HttpRequest, annotator: User) -> JsonResponse:
    return JsonResponse(offer_to(annotator))


def offer_to(annotator: User) -> dict[str, Any]:
    """Whether this person can have prompts answered now, and a prompt of theirs that has no answers yet."""
    batch = open_batch()
    why = why_no_live(batch, answering_policies())
    prompt = open_live_prompt(annotator)
    return {
        "available": not why,
        "why": why,
        "turn_limit": batch.turn_limit if batch else 0,
        "prompt": _shown(prompt) if prompt else None,
    }


@lean_view("POST", Role.ANNOTATOR)
def ask(request: HttpRequest, annotator: User) -> HttpResponseBase:
    """Lines of JSON: both texts level with each other, then the pair to rate or why there is none.

    A prompt that was answered before is answered at once, with its pair.
    """
    body = read_body(request, PromptBody, limit=LONGEST_BODY)
    attempt = begin_attempt(
        annotator=annotator, uid=body.uid, focus=body.focus, text=body.text, continues=body.continues
    )
    if isinstance(attempt, LivePrompt):
        return HttpResponse(item_line(live_comparison(attempt), annotator), content_type=MEDIA_TYPE)
    telling = Telling(attempt)
    lines = stream_async(telling) if isinstance(request, ASGIRequest) else stream(telling)
    response = StreamingHttpResponse(lines, content_type=MEDIA_TYPE)
    response["X-Accel-Buffering"] = "no"  # for a proxy that would gather lines
    return response


@lean_view("POST", Role.ANNOTATOR)
def stop(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    read_body(request, Empty)
    return JsonResponse({"state": stop_prompt(annotator=annotator, uid=uid).state})


@lean_view("POST", Role.ANNOTATOR)
def drop(request: HttpRequest, annotator: User, uid: UUID) -> JsonResponse:
    read_body(request, Empty)
    return JsonResponse({"state": drop_prompt(annotator=annotator, uid=uid).state})


def _shown(prompt: LivePrompt) -> dict[str, Any]:
    return {
        "uid": str(prompt.uid),
        "state": prompt.shown_state,
        "focus": prompt.focus,
        "text": prompt.text,
        "turns": [
            {"role": turn["role"], "html": render_markdown(turn["content"])} for turn in prompt.messages[:-1]
        ],
        "continues": prompt.continues.key if prompt.continues else None,
        "message": prompt.shown_message,
    }
