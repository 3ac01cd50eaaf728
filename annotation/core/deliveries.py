"""How an event is signed, and when a failed delivery is tried again.

Signatures follow Standard Webhooks 1.0.0 (standardwebhooks.com, symmetric signatures). Knows bytes and times. Must not
know rows, clocks or the network.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how a secret begins
SECRET_BYTES: Final = 32  # of the 24 to 64 that the standard allows
OLD_SECRET: Final = timedelta(days=1)  # a replaced secret signs for so long beside the new one

# After the first attempt, the second, and so on, as the standard suggests: about three days in all.
DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))
)
ATTEMPTS: Final = len(DELAYS) + 1
JITTER: Final = 0.2  # so that what failed together does not all come back together
# Without one success until a message is given up, and the webhook is switched off.
FAILING: Final = timedelta(days=3)
KEPT: Final = timedelta(days=30)  # of the log


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secrets_used: Iterable[str], *, uid: UUID, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one "v1,…" for each secret, with a blank between.

    Each is base64 of HMAC-SHA256 of "id.timestamp.body". `timestamp` is in seconds since 1970.
    """
    signed = f"{uid}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_mac(secret, signed)}" for secret in secrets_used)


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def delay_after(attempts: int, *, draw: float) -> timedelta | None:
    """How long to wait after the `attempts`-th try has failed, counted from 1; None: give up.

    `draw`, uniform from 0 to 1, lengthens the wait by up to JITTER.
    """
    if attempts > len(DELAYS):
        return None
    return DELAYS[attempts - 1] * (1 + JITTER * draw)
