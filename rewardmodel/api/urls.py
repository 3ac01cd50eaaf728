"""The addresses of reward models, below /api/v1/. Scoring lies with runs, which it may start."""

from __future__ import annotations

from django.urls import URLPattern, path

from rewardmodel.api import reward_models

app_name = "rewardmodel"
urlpatterns: list[URLPattern] = [
    path("reward-models", reward_models.RewardModels.as_view(), name="reward-models"),
    path("reward-models/<int:pk>", reward_models.RewardModel.as_view(), name="reward-model"),
]
