"""Accounts: those that the house makes itself, roles, pauses, and what people set for themselves."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.core.preferences import complete
from annotation.core.records import content_key
from annotation.errors import ConflictError, DomainError, ForbiddenError
from annotation.models import Role, User
from annotation.services.audit import record
from annotation.services.leases import give_back, give_back_all


@transaction.atomic
def ensure_simulated(name: str) -> User:
    """A simulated annotator; cannot sign in, and always has the same pseudonym."""
    username = f"simulated:{name}"
    defaults = {
        "pseudonym": f"annotator-{content_key('annotator', username)[:10]}",
        "imported": True,
        "role": Role.ANNOTATOR,
        "password": "!",  # unusable
    }
    return User.objects.get_or_create(username=username, defaults=defaults)[0]


@transaction.atomic
def ensure_person(*, username: str, password: str, role: Role) -> User:
    """An account that signs in; one that exists gets the password and the role."""
    user, _ = User.objects.get_or_create(username=username)
    user.role = role
    user.is_staff = role.includes(Role.RESEARCHER)
    user.set_password(password)
    user.save()
    return user


@transaction.atomic
def set_safety_consent(*, annotator: User, agreed: bool) -> User:
    """Agree to be given safety pairs, or stop: what is in their hands and unjudged then goes back to others."""
    User.objects.filter(pk=annotator.pk).update(safety_consent_at=timezone.now() if agreed else None)
    if not agreed:
        give_back(annotator=annotator, focus=Focus.SAFETY)
    annotator.refresh_from_db(fields=["safety_consent_at"])
    return annotator


@transaction.atomic
def set_preferences(*, annotator: User, preferences: dict[str, Any]) -> dict[str, Any]:
    """Store how the workbench looks and is driven; `preferences` has been checked."""
    annotator.preferences = complete(preferences)
    annotator.save(update_fields=["preferences"])
    return complete(annotator.preferences)


@transaction.atomic
def pause_person(*, person: User, reason: str, by: User | None) -> User:
    """Give somebody nothing from now on; `by` None: the house. They are told the reason, and what is in their hands
    unjudged goes back to others. Whoever is paused already stays so, with the first reason.

    Raises:
        DomainError: there is no reason.
        ForbiddenError: their role is above that of `by`.
    """
    if not reason.strip():
        raise DomainError(
            "Say why: they are told. Nothing was changed.",
            errors=[{"field": "reason", "reason": "Say why: they are told."}],
        )
    _check_rank(by, person)
    columns = {"paused_at": timezone.now(), "pause_reason": reason.strip()}
    if User.objects.filter(pk=person.pk, paused_at=None).update(**columns):
        returned = give_back_all(annotator=person)
        record("person.paused", person, by=by, reason=reason.strip(), returned=returned)
    person.refresh_from_db(fields=list(columns))
    return person


@transaction.atomic
def resume_person(*, person: User, by: User) -> User:
    """End a pause: they are given pairs again, and attention checks from before it no longer count.

    Raises:
        ForbiddenError: their role is above that of `by`.
    """
    _check_rank(by, person)
    columns = {"paused_at": None, "pause_reason": "", "resumed_at": timezone.now()}
    if User.objects.filter(pk=person.pk, paused_at__isnull=False).update(**columns):
        record("person.resumed", person, by=by)
    person.refresh_from_db(fields=list(columns))
    return person


def _check_rank(by: User | None, person: User) -> None:
    if by is not None and not by.may(Role(person.role)):
        raise ForbiddenError(f"{person} is {person.role}: that is above your role. Nothing was changed.")


@transaction.atomic
def change_role(*, person: User, role: Role, by: User) -> User:
    """Say what somebody may do.

    Raises:
        ForbiddenError: `by` is no administrator, or it is their own role.
        ConflictError: nobody would be left who administrates, or it is no account of a person.
    """
    _check_may_govern(by, person)
    if role is (before := Role(person.role)):
        return person
    _check_not_last(person, stays=role is Role.ADMINISTRATOR)
    person.role, person.is_staff = role, role.includes(Role.RESEARCHER)
    person.save(update_fields=["role", "is_staff"])
    record("person.role_changed", person, by=by, before=before, after=role)
    return person


@transaction.atomic
def set_account(*, person: User, is_open: bool, by: User) -> User:
    """Close somebody's account, so that they can no longer sign in, or open it again. What they did stays.

    Raises:
        ForbiddenError, ConflictError: as for `change_role`.
    """
    _check_may_govern(by, person)
    if person.is_active == is_open:
        return person
    _check_not_last(person, stays=is_open)
    person.is_active = is_open
    person.save(update_fields=["is_active"])
    if not is_open:
        give_back_all(annotator=person)
    record("person.account_opened" if is_open else "person.account_closed", person, by=by)
    return person


@transaction.atomic
def note_account(*, person: User, by: User, is_new: bool, fields: list[str]) -> None:
    """Note that an administrator made an account by hand, or changed one; `fields` are names, never values."""
    person.is_staff = Role(person.role).includes(Role.RESEARCHER)
    person.save(update_fields=["is_staff"])
    record("person.added" if is_new else "person.changed", person, by=by, role=person.role, fields=fields)


def _check_may_govern(by: User, person: User) -> None:
    """Lock everybody who administrates, so that two who demote each other at once leave one of them."""
    list(User.objects.filter(role=Role.ADMINISTRATOR).order_by("pk").select_for_update())
    person.refresh_from_db(fields=["role", "is_active"])
    if not User.objects.get(pk=by.pk).may(Role.ADMINISTRATOR):
        raise ForbiddenError("Only an administrator decides about accounts. Nothing was changed.")
    if by.pk == person.pk:
        raise ForbiddenError("Nobody decides about their own account. Ask another administrator.")
    if person.imported:
        raise ConflictError("It stands for an annotator of a file: nobody signs in with it.")


def _check_not_last(person: User, *, stays: bool) -> None:
    others = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=person.pk)
    if not stays and person.role == Role.ADMINISTRATOR and not others.exists():
        raise ConflictError(f"{person} is the last administrator, and one has to stay.")
