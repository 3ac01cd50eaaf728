"""The addresses of reward models, below /api/v1/. Scoring lies with runs, which it may start."""

from __future__ import annotations

from django.urls import URLPattern, path

from rewardmodel.api import promotions, reward_models

app_name = "rewardmodel"
urlpatterns: list[URLPattern] = [
    path("reward-models", reward_models.RewardModels.as_view(), name="reward-models"),
    path("reward-models/<int:pk>", reward_models.RewardModel.as_view(), name="reward-model"),
    path("reward-models/<int:pk>/promotion", promotions.OneStanding.as_view(), name="reward-model-promotion"),
    path("reward-models/<int:pk>/roll-back", promotions.RollBack.as_view(), name="reward-model-roll-back"),
]
