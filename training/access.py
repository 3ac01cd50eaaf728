"""The only way to runs, policies and iterations on behalf of a person. Absent and forbidden answer alike."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from annotation.errors import NotFoundError
from annotation.models import Role, User
from training.models import Iteration, PolicyVersion, Run


def runs_for(user: User) -> QuerySet[Run]:
    return Run.objects.all() if user.may(Role.RESEARCHER) else Run.objects.none()


def run_for(user: User, uid: UUID) -> Run:
    run = runs_for(user).select_related("iteration", "created_by").filter(uid=uid).first()
    if run is None:
        raise NotFoundError("There is no such run. GET runs lists them.")
    return run


def policies_for(user: User) -> QuerySet[PolicyVersion]:
    return PolicyVersion.objects.all() if user.may(Role.RESEARCHER) else PolicyVersion.objects.none()


def iterations_for(user: User) -> QuerySet[Iteration]:
    return Iteration.objects.all() if user.may(Role.RESEARCHER) else Iteration.objects.none()
