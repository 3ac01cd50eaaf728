"""The only way to a reward model on behalf of a person. Absent and forbidden answer alike."""

from __future__ import annotations

from annotation.errors import NotFoundError
from annotation.models import Role, User
from rewardmodel.models import RewardModelVersion, RewardModelVersionQuerySet


def reward_models_for(user: User) -> RewardModelVersionQuerySet:
    rows = RewardModelVersion.objects.all()
    return rows if user.may(Role.RESEARCHER) else rows.none()


def reward_model_for(user: User, pk: int) -> RewardModelVersion:
    version = reward_models_for(user).filter(pk=pk).first()
    if version is None:
        raise NotFoundError("There is no such reward model. GET reward-models lists them.")
    return version
