"""The way in: links that make one account each. There is no other way but an administrator's hand.

A link holds 256 random bits; only their SHA-256 is stored, so that neither the database nor a copy of it lets anybody
in. Every link that does not work is answered alike.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final, NoReturn

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.errors import ConflictError, DomainError, ForbiddenError, NotFoundError
from annotation.models import Invitation, Role, User
from annotation.services.audit import record

TOKEN_BYTES: Final = 32
LONGEST_DAYS: Final = 90


@transaction.atomic
def create_invitation(
    *, by: User, name: str, role: Role, languages: list[str], days: int
) -> tuple[Invitation, str]:
    """Invite somebody; returns the row and the link's token, which nobody can read again.

    Raises:
        DomainError: no name, or a number of days outside 1 to LONGEST_DAYS.
        ForbiddenError: the role is above that of `by`, or `by` is no administrator.
    """
    if not by.may(Role.ADMINISTRATOR) or not by.may(role):
        raise ForbiddenError("Only an administrator invites, and nobody to a role above their own.")
    if not name.strip():
        _refuse("name", "Say whom it is for.")
    if not 1 <= days <= LONGEST_DAYS:
        _refuse("days", f"From 1 to {LONGEST_DAYS} days.")
    return _invite(by, name.strip(), role, languages, timedelta(days=days))


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, by: User) -> Invitation:
    """End a link that nobody has used.

    Raises:
        ConflictError: somebody used or revoked it already.
    """
    unused = Invitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None)
    if not unused.update(revoked_at=timezone.now()):
        raise ConflictError("It was used or revoked already. Nothing was changed.")
    record("invitation.revoked", invitation, by=by)
    invitation.refresh_from_db()
    return invitation


@transaction.atomic
def renew_invitation(*, invitation: Invitation, by: User) -> tuple[Invitation, str]:
    """A new link for the same person, valid as long as the old one was meant to be, which ends.

    Raises:
        ConflictError: the old one was used or revoked already.
    """
    revoke_invitation(invitation=invitation, by=by)
    span = invitation.expires_at - invitation.created_at
    return _invite(by, invitation.name, Role(invitation.role), invitation.languages, span)


def _invite(by: User, name: str, role: Role, languages: list[str], span: timedelta) -> tuple[Invitation, str]:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = Invitation.objects.create(
        token_hash=hash_of(token),
        prefix=token[:6],
        name=name,
        role=role,
        languages=languages,
        created_by=by,
        expires_at=timezone.now() + span,
    )
    record("invitation.made", row, by=by, role=role, expires_at=row.expires_at.isoformat())
    return row, token


def hash_of(token: str) -> str:
    """What is stored of a token, and what a visitor's session holds of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_invitation(*, token_hash: str) -> Invitation:
    """The invitation whose link somebody opened.

    Raises:
        NotFoundError: it is wrong, used, revoked or too old: the answer is the same.
    """
    row = Invitation.objects.usable().filter(token_hash=token_hash).first()
    if row is None:
        _turn_away()
    return row


def join(*, token_hash: str, username: str, password: str) -> User:
    """Make the account that a link is good for, once.

    Raises:
        NotFoundError: the link does not work (any more).
        DomainError: the user name or password will not do; `errors` says which and why.
    """
    try:
        with transaction.atomic():
            return _join(token_hash, username, password)
    except IntegrityError:
        _refuse_name()


def _join(token_hash: str, username: str, password: str) -> User:
    # Whoever comes second waits here for the first, and then finds nothing.
    if not Invitation.objects.usable().filter(token_hash=token_hash).update(used_at=timezone.now()):
        _turn_away()
    invitation = Invitation.objects.get(token_hash=token_hash)
    user = User(
        username=User.normalize_username(username.strip()),
        role=invitation.role,
        is_staff=Role(invitation.role).includes(Role.RESEARCHER),
        languages=invitation.languages,
    )
    _check(user, password)
    user.set_password(password)
    user.save(force_insert=True)
    invitation.used_by = user
    invitation.save(update_fields=["used_by"])
    record("person.joined", user, by=user, role=user.role, invitation=invitation.pk)
    return user


def _check(user: User, password: str) -> None:
    try:
        User._meta.get_field("username").clean(user.username, user)
    except ValidationError as error:
        _refuse("username", *error.messages)
    # Two names that differ in capital letters alone would be taken for each other.
    if User.objects.filter(username__iexact=user.username).exists():
        _refuse_name()
    try:
        validate_password(password, user)
    except ValidationError as error:
        _refuse("password", *error.messages)


def _refuse(field: str, *reasons: str) -> NoReturn:
    message = " ".join(reasons)
    raise DomainError(message, errors=[{"field": field, "reason": message}])


def _refuse_name() -> NoReturn:
    _refuse("username", _("Somebody has this user name already. Choose another."))


def _turn_away() -> NoReturn:
    raise NotFoundError(_("This link does not work. Ask whoever invited you for a new one."))
