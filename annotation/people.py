"""Questions about people: what is known of an account, who is whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from annotation.models import Attempt, AuditEvent, Certificate, User


@dataclass(frozen=True, slots=True)
class Record:
    """What an account's page shows beside its columns, each list the newest first."""

    certificates: list[Certificate]
    attempts: list[Attempt]
    history: list[AuditEvent]


def record_of(person: User, *, most: int = 50) -> Record:
    """At most `most` tries and lines of history."""
    return Record(
        list(Certificate.objects.filter(annotator=person).select_related("granted_by")),
        list(Attempt.objects.filter(annotator=person).select_related("step")[:most]),
        list(_history(person)[:most]),
    )


def last_pause_by(person: User) -> User | None:
    """Who paused somebody; None: the house, or nobody knows."""
    event = _history(person).filter(action="person.paused").select_related("actor").first()
    return event.actor if event is not None else None


def certificate_with(pk: int, person: User) -> Certificate | None:
    return Certificate.objects.filter(pk=pk, annotator=person).first()


def _history(person: User) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(object_type="user", object_id=str(person.pk))
