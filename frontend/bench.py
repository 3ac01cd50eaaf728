"""What the workbench's page starts with: addresses, the person's settings, what they have read, their language.

Knows the shape that static/frontend/workbench/main.js reads. The first pairs come with
it, so that nothing is waited for twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.urls import reverse
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

from annotation.api.workbench import READY, pairs_for
from annotation.core.passes import PassReason
from annotation.core.preferences import complete
from annotation.models import User
from annotation.queries import guidelines_in_force, last_readings, open_batch
from frontend.scale import ACTIONS, CELLS, REASONS, SAFETY
from training.api.live import offer_to

# Loaded with the page; the other parts come when they are wanted.
MODULES: Final = [
    f"frontend/workbench/{name}.js" for name in ("care", "form", "keys", "transport", "view", "words")
]


def bench_context(user: User, reopen: str) -> dict[str, Any]:
    """What the template shows and what the script starts with."""
    live = offer_to(user)
    batch = open_batch()
    boot = {
        "annotator": user.pseudonym,
        "batch": batch.name if batch else "",
        "consent": user.safety_consent_at is not None,
        "first": pairs_for(user, 1 + READY),
        "guidelines": _guidelines(user),
        "live": live,
        "preferences": complete(user.preferences),
        "reopen": reopen,
        "urls": _addresses(),
        "words": _catalogue(get_language() or settings.LANGUAGE_CODE),
    }
    return {
        "boot": boot,
        "live": live["available"],
        "modules": MODULES,
        "actions": ACTIONS,
        "cells": CELLS,
        "safety": SAFETY,
        "skips": _reasons(reason for reason in PassReason if not reason.is_flag),
        "flags": _reasons(reason for reason in PassReason if reason.is_flag),
    }


def _guidelines(user: User) -> dict[str, dict[str, int | None]]:
    """For each focus the version in force and the last one that this person confirmed."""
    read = last_readings(user)
    return {row.focus: {"id": row.pk, "read": read.get(row.focus)} for row in guidelines_in_force()}


def _addresses() -> dict[str, str]:
    names = ("next", "judgments", "passes", "preferences", "safety")
    own = {name: reverse(f"api:{name}") for name in names}
    sign_in = f"{reverse('frontend:sign-in')}?next={reverse('frontend:rate')}"
    bases = {"guidelines": "/api/v1/guidelines", "mine": "/api/v1/me/judgments"}
    return {**own, **bases, "live": reverse("training:live"), "signIn": sign_in}


def _reasons(reasons: Iterable[PassReason]) -> list[dict[str, Any]]:
    """Reasons with their number among all, which is their key, and the sentence that says what was done."""
    numbers = {reason: number for number, reason in enumerate(PassReason, start=1)}
    return [
        {
            "value": reason.value,
            "number": numbers[reason],
            "words": REASONS[reason],
            "said": (_("Flagged: {words}") if reason.is_flag else _("Skipped: {words}")).format(
                words=REASONS[reason]
            ),
        }
        for reason in reasons
    ]


@lru_cache(maxsize=16)
def _catalogue(language: str) -> dict[str, Any]:
    """The script's sentences in a language; English needs none, as it is what the script says by itself."""
    if language.startswith("en"):
        return {}
    view = JavaScriptCatalog()
    with override(language):
        view.translation = DjangoTranslation(language, domain="djangojs", localedirs=settings.LOCALE_PATHS)
        catalogue: dict[str, Any] = view.get_catalog()
    return catalogue
