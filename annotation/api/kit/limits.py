"""How often a person or a token may ask: API_RATE requests in a minute.

Counted in Django's cache. Where that is each process's own memory, the embedded default, so is the count.
"""

from __future__ import annotations

import math
import time
from typing import Final

import structlog
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from annotation.api.auth import token_of

WINDOW: Final = 60  # seconds
log = structlog.get_logger(__name__)


class HouseThrottle(BaseThrottle):
    """One count for each token, and one for each person's sessions. The headers tell how much is left
    (draft-ietf-httpapi-ratelimit-headers-10)."""

    left_seconds = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        quota = int(settings.API_RATE)
        if not quota:
            return True
        now = time.time()
        self.left_seconds = WINDOW - int(now) % WINDOW
        count = _count(f"margin-api:{_who(request)}:{int(now) // WINDOW}")
        # Read by ApiView.dispatch, and set on Django's request, which outlives DRF's.
        request._request.limit_headers = {  # type: ignore[attr-defined]
            "RateLimit-Policy": f'"minute";q={quota};w={WINDOW}',
            "RateLimit": f'"minute";r={max(0, quota - count)};t={self.left_seconds}',
        }
        return count <= quota

    def wait(self) -> float:
        return math.ceil(self.left_seconds)


def _who(request: Request) -> str:
    token = token_of(request._request)
    return f"token-{token.pk}" if token is not None else f"person-{request.user.pk}"


def _count(key: str) -> int:
    """This request's number in its window; 0 where the cache does not answer: better unlimited than shut."""
    try:
        cache.add(key, 0, timeout=2 * WINDOW)
        return cache.incr(key)
    except ValueError:  # dropped in between, as a full cache does
        return 1
    except Exception as error:  # noqa: BLE001  each backend has errors of its own
        log.warning("the cache does not count requests", error=str(error))
        return 0
