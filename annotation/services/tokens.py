"""Access tokens: made, used, revoked; and the accounts of programs.

A token is 32 random bytes, so a fast hash of it is enough at rest: nobody can try all of them. (A slow hash is for
passwords, which people choose.) It is looked up by that hash, so no comparison takes longer the closer a guess is.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import OperationalError, transaction
from django.utils import timezone

from annotation.core.scopes import LEAST_ROLE, Scope
from annotation.errors import ConflictError, DomainError, ForbiddenError, InvalidTokenError
from annotation.models import AccessToken, Role, User
from annotation.services.audit import record

PREFIX: Final = "margin_"
SHOWN: Final = len(PREFIX) + 6  # characters by which people recognise one
LIFETIME: Final = timedelta(days=90)
TOUCH: Final = timedelta(minutes=1)  # between two notes of its use
MOST: Final = 50  # that work, of one account
log = structlog.get_logger(__name__)


class InvalidTokenPlanError(DomainError):
    """A token that cannot be as it was asked for; `errors` names the fields."""

    code = "invalid-token-plan"
    status = 422


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def make_token(
    *,
    user: User,
    name: str,
    scopes: Sequence[Scope],
    expires_at: datetime | None = None,
    by: User | None = None,
) -> tuple[AccessToken, str]:
    """A token that acts as `user`, and its text, which nothing keeps. `expires_at` None: never.

    Raises:
        InvalidTokenPlanError: no name, no scope, one that the role of `user` or of `by` does not allow, an end that
            is past.
        ForbiddenError: `by` makes it for somebody else: only an administrator does, and only for a program.
        ConflictError: they have too many that work.
    """
    by = by or user
    _check_may_give(by, user)
    wrong = _complaints(user, by, name, scopes, expires_at)
    if wrong:
        raise InvalidTokenPlanError("This token cannot be made. Nothing was changed.", errors=wrong)
    if len(working_tokens(user)) >= MOST:
        raise ConflictError(f"{user} has {MOST} tokens that work. Revoke one that nobody needs.")
    text = PREFIX + secrets.token_urlsafe(32)
    token = AccessToken.objects.create(
        user=user,
        name=name.strip(),
        prefix=text[:SHOWN],
        digest=digest_of(text),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=by,
    )
    record("token.made", token, by=by, scopes=token.scopes, acts_as=user.username)
    return token, text


def working_tokens(user: User) -> list[AccessToken]:
    now = timezone.now()
    rows = AccessToken.objects.filter(user=user, revoked_at=None)
    return [token for token in rows if token.expires_at is None or token.expires_at > now]


def _check_may_give(by: User, user: User) -> None:
    own = by.pk == user.pk
    if not own and not (user.is_service and by.may(Role.ADMINISTRATOR)):
        raise ForbiddenError(
            "Everybody makes tokens for themselves; an administrator also for the account of a program."
        )
    if user.imported or not user.is_active:
        raise ForbiddenError(f"{user} has no open account, so no token can act for it.")


def _complaints(
    user: User, by: User, name: str, scopes: Sequence[Scope], expires_at: datetime | None
) -> list[dict[str, object]]:
    wrong: list[dict[str, object]] = []
    if not name.strip() or len(name) > 100 or "\0" in name:
        wrong.append({"field": "name", "reason": "Say what it is for, in at most 100 characters."})
    if not scopes:
        wrong.append({"field": "scopes", "reason": "Choose at least one."})
    for scope in scopes:
        needed = Role(LEAST_ROLE[scope])
        if not user.may(needed) or not by.may(needed):
            wrong.append({"field": "scopes", "reason": f"{scope} needs the role {needed}."})
    if expires_at is not None and expires_at <= timezone.now():
        wrong.append({"field": "expires_at", "reason": "It has to be in the future."})
    return wrong


@transaction.atomic
def revoke_token(*, token: AccessToken, by: User) -> AccessToken:
    """End a token at once; one that is revoked stays as it is.

    Raises:
        ForbiddenError: it is neither theirs nor are they an administrator.
    """
    if token.user_id != by.pk and not by.may(Role.ADMINISTRATOR):
        raise ForbiddenError("Only its owner or an administrator revokes a token.")
    if AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record("token.revoked", token, by=by)
    token.refresh_from_db(fields=["revoked_at"])
    return token


def use_token(text: str) -> AccessToken:
    """The token of this text, with its user; its use is noted, to the minute.

    Raises:
        InvalidTokenError: unknown, revoked, expired, or its account may not act; it says which.
    """
    # A text of another form is not even hashed: it may be long, or no UTF-8.
    known = text.isascii() and len(text) == len(PREFIX) + 43 and text.startswith(PREFIX)
    found = AccessToken.objects.select_related("user").filter(digest=digest_of(text)) if known else None
    token = found.first() if found is not None else None
    if token is None:
        raise InvalidTokenError(
            "There is no such access token. Send the whole text that was shown when it was made: margin_…."
        )
    _check_works(token)
    _touch(token)
    return token


def _check_works(token: AccessToken) -> None:
    named = f"The token {token.prefix}…"
    if token.revoked_at is not None:
        raise InvalidTokenError(f"{named} was revoked. Make another one.")
    if token.expires_at is not None and token.expires_at <= timezone.now():
        raise InvalidTokenError(f"{named} expired on {token.expires_at:%Y-%m-%d}. Make another one.")
    if not token.user.is_active:
        raise InvalidTokenError(f"The account that {named[4:]} acts for is closed. Ask an administrator.")
    if token.user.paused_at is not None:
        raise InvalidTokenError(f"The account that {named[4:]} acts for is paused. Ask an administrator.")


def _touch(token: AccessToken) -> None:
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < TOUCH:
        return
    try:
        AccessToken.objects.filter(pk=token.pk).update(last_used_at=now)
    except OperationalError as error:
        # SQLite has one writer, and that may be a long import: reading goes on without this note.
        log.info("the use of a token was not noted", token=token.prefix, error=str(error))


@transaction.atomic
def add_service_account(*, name: str, role: Role, by: User) -> User:
    """An account for a program: no password, no page; it acts by tokens alone.

    Raises:
        ForbiddenError: `by` is no administrator.
        ConflictError: the name is taken.
        InvalidTokenPlanError: the name is empty or too long.
    """
    if not by.may(Role.ADMINISTRATOR):
        raise ForbiddenError("Only an administrator makes accounts for programs.")
    username = f"service:{name.strip()}"
    if not name.strip() or len(username) > 150 or "\0" in name:
        reason = "Give the program a name of at most 140 characters."
        raise InvalidTokenPlanError(reason, errors=[{"field": "name", "reason": reason}])
    if User.objects.filter(username=username).exists():
        raise ConflictError(f"There is an account {username} already. Choose another name.")
    account = User(username=username, role=role, is_service=True)
    account.set_unusable_password()
    account.save()
    record("person.added", account, by=by, role=role, service=True)
    return account
