"""The only way to a row on behalf of a person. Absent and forbidden answer alike."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from annotation.core.states import BatchState
from annotation.errors import BatchSealedError, ForbiddenError, NotFoundError
from annotation.models import (
    AccessToken,
    Batch,
    Comparison,
    Dialogue,
    Guideline,
    Judgment,
    Prompt,
    Role,
    Snapshot,
    User,
)

Visitor = User | AnonymousUser
Row = TypeVar("Row", bound=Model)


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


def batch_for(user: User, number: int) -> Batch:
    return _only(batches_for(user).filter(number=number), "batch")


def guideline_for(focus: str, version: int) -> Guideline | None:
    return Guideline.objects.filter(focus=focus, version=version).first()


def prompts_for(user: User) -> QuerySet[Prompt]:
    return _data(Prompt.objects.select_related("cluster"), user)


def prompt_for(user: User, key: str) -> Prompt:
    return _only(prompts_for(user).filter(key=key), "prompt")


def dialogues_for(user: User) -> QuerySet[Dialogue]:
    return _data(Dialogue.objects.select_related("prompt", "parent"), user)


def dialogue_for(user: User, key: str) -> Dialogue:
    return _only(dialogues_for(user).prefetch_related("responses").filter(key=key), "dialogue")


def comparisons_for(user: User) -> QuerySet[Comparison]:
    rows = Comparison.objects.select_related("batch", "dialogue__prompt", "response_a", "response_b")
    return _data(rows, user)


def comparison_for(user: User, key: str) -> Comparison:
    return _only(comparisons_for(user).filter(key=key), "comparison")


def judgments_for(user: User) -> QuerySet[Judgment]:
    """Everybody's judgments that count, reviewers' labels among them."""
    rows = Judgment.objects.effective().select_related("comparison__batch", "annotator", "guideline")
    return _data(rows, user)


def judgment_for(user: User, uid: UUID) -> Judgment:
    return _only(judgments_for(user).filter(uid=uid), "judgment")


def every_token_for(user: User) -> QuerySet[AccessToken]:
    """Their own, and for an administrator everybody's."""
    rows = AccessToken.objects.select_related("user", "created_by")
    return rows if user.may(Role.ADMINISTRATOR) else rows.filter(user=user)


def tokens_for(user: User) -> QuerySet[AccessToken]:
    """Those that were not revoked."""
    return every_token_for(user).filter(revoked_at=None)


def service_accounts_for(user: User) -> QuerySet[User]:
    """The accounts of programs that they may make tokens for."""
    rows = User.objects.filter(is_service=True, is_active=True).order_by("username")
    return rows if user.may(Role.ADMINISTRATOR) else rows.none()


def token_for(user: User, pk: int) -> AccessToken:
    return _only(tokens_for(user).filter(pk=pk), "access token")


def _data(rows: QuerySet[Row], user: User) -> QuerySet[Row]:
    return rows if user.may(Role.RESEARCHER) else rows.none()


def _only(rows: QuerySet[Row], what: str) -> Row:
    row = rows.first()
    if row is None:
        raise NotFoundError(f"There is no such {what}.")
    return row


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
