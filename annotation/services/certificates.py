"""Certificates: who may be given the pairs of a focus where a week asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.core.qualification import certificate_ends
from annotation.errors import ConflictError, DomainError, ForbiddenError
from annotation.models import Certificate, Role, User
from annotation.qualifying import way_to
from annotation.services.audit import record
from annotation.services.leases import give_back


@transaction.atomic
def settle_certificate(*, annotator: User, focus: Focus) -> Certificate | None:
    """After a pass: the certificate, if all steps in force are passed now. `annotator` is locked.

    It ends with the first of the passes. One that stands longer already is left alone.
    """
    way = way_to(annotator, focus)
    if way is None or not way.complete:
        return None
    ends = certificate_ends([step.place for step in way.steps])
    standing = way.certificate
    if standing is not None and way.certified and _is_later(standing.expires_at, ends):
        return standing
    return _certify(annotator, focus, ends, by=None, reason="")


@transaction.atomic
def grant_certificate(*, annotator: User, focus: Focus, by: User, reason: str, days: int = 0) -> Certificate:
    """Vouch for somebody who did not take the tests, for a number of days (0: without end).

    Raises:
        DomainError: there is no reason.
        ForbiddenError: `by` is no administrator.
        ConflictError: nobody signs in with this account.
    """
    _check(by, reason)
    if annotator.imported:
        raise ConflictError("It stands for an annotator of a file: it is given no pairs.")
    lock_person(annotator)
    ends = timezone.now() + timedelta(days=days) if days else None
    return _certify(annotator, focus, ends, by=by, reason=reason.strip())


@transaction.atomic
def revoke_certificate(*, certificate: Certificate, by: User, reason: str) -> Certificate:
    """End a certificate. Passes from before count no more, and pairs of the focus in their hands go back to others.

    Raises:
        DomainError: there is no reason.
        ForbiddenError: `by` is no administrator.
        ConflictError: it was revoked already.
    """
    _check(by, reason)
    columns = {"revoked_at": timezone.now(), "reason": reason.strip()}
    if not Certificate.objects.filter(pk=certificate.pk, revoked_at=None).update(**columns):
        raise ConflictError("It was revoked already. Nothing was changed.")
    certificate.refresh_from_db()
    person, focus = certificate.annotator, Focus(certificate.focus)
    give_back(annotator=person, focus=focus)
    record("certificate.revoked", person, by=by, focus=focus, reason=reason.strip())
    return certificate


def lock_person(person: User) -> None:
    """What follows in this transaction happens to one person at a time; their judgments go on meanwhile."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=person.pk)


def _check(by: User, reason: str) -> None:
    if not by.may(Role.ADMINISTRATOR):
        raise ForbiddenError("Only an administrator vouches for people. Nothing was changed.")
    if not reason.strip():
        raise DomainError(
            "Say why. Nothing was changed.", errors=[{"field": "reason", "reason": "Say why: it is kept."}]
        )


def _certify(
    annotator: User, focus: Focus, ends: datetime | None, *, by: User | None, reason: str
) -> Certificate:
    """One certificate a focus stands: one that has ended is renewed."""
    columns = {"expires_at": ends, "granted_by": by, "reason": reason}
    row, is_new = Certificate.objects.update_or_create(
        annotator=annotator, focus=focus, revoked_at=None, defaults=columns
    )
    detail = {"focus": focus, "expires_at": ends.isoformat() if ends else None, "reason": reason}
    record("certificate.granted" if is_new else "certificate.renewed", annotator, by=by, **detail)
    return row


def _is_later(standing: datetime | None, ends: datetime | None) -> bool:
    """Whether a certificate that stands ends no sooner."""
    return standing is None or (ends is not None and standing >= ends)
