"""The only way to a row on behalf of a person. Absent and forbidden answer alike."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from annotation.errors import ForbiddenError, NotFoundError
from annotation.models import Batch, Role, Snapshot, User

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
