"""The only way to a row on behalf of a person. Absent and forbidden answer alike."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation.core.states import BatchState
from annotation.errors import BatchSealedError, ForbiddenError, NotFoundError
from annotation.models import Batch, Judgment, Role, Snapshot, User

Visitor = User | AnonymousUser


def require_role(visitor: Visitor, role: Role) -> User:
    """The user, if they have the role.

    Raises:
        ForbiddenError: they do not.
    """
    if isinstance(visitor, User) and visitor.may(role):
        return visitor
    raise ForbiddenError(f"This needs the role {role}. Ask an administrator for it.")


def batches_for(user: User) -> QuerySet[Batch]:
    return Batch.objects.all() if user.may(Role.REVIEWER) else Batch.objects.none()


def snapshots_for(user: User) -> QuerySet[Snapshot]:
    return Snapshot.objects.all() if user.may(Role.RESEARCHER) else Snapshot.objects.none()


def snapshot_for(user: User, pk: int) -> Snapshot:
    snapshot = snapshots_for(user).filter(pk=pk).first()
    if snapshot is None:
        raise NotFoundError("There is no such snapshot.")
    return snapshot


def judgments_of(user: User) -> QuerySet[Judgment]:
    """This person's own judgments that count, the newest first, with the pairs they are on; not the labels that they
    set as a reviewer."""
    return (
        Judgment.objects.effective()
        .of_annotators()
        .filter(annotator=user)
        .select_related("comparison__batch", "comparison__dialogue")
        .select_related("comparison__response_a", "comparison__response_b")
        .order_by("-created_at", "-pk")
    )


def last_judgment_of(user: User) -> Judgment | None:
    """The newest one, if its week is still open."""
    newest = judgments_of(user).first()
    return newest if newest is not None and newest.comparison.batch.state == BatchState.OPEN else None


def open_judgment_of(user: User, uid: UUID) -> Judgment:
    """One of their own, to be changed.

    Raises:
        NotFoundError: it is not theirs, or was taken back or replaced.
        BatchSealedError: its week is over.
    """
    judgment = judgments_of(user).filter(uid=uid).first()
    if judgment is None:
        raise NotFoundError(_("There is no such judgment of yours, or you have changed it since."))
    batch = judgment.comparison.batch
    if batch.state != BatchState.OPEN:
        words = _("{batch} is sealed: its judgments cannot be changed any more.")
        raise BatchSealedError(words.format(batch=batch.name))
    return judgment
