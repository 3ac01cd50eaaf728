"""The addresses of runs, policies, iterations, scores and live prompts, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from training.api import iterations, lineage, live, policies, run_events, runs, scores

app_name = "training"
urlpatterns: list[URLPattern] = [
    path("live", live.live, name="live"),
    path("live/<uuid:uid>/stop", live.stop, name="stop"),
    path("live/<uuid:uid>/drop", live.drop, name="drop"),
    path("reward-models/<int:pk>/score", scores.Score.as_view(), name="score"),
    path("policies", policies.Policies.as_view(), name="policies"),
    path("policies/<int:pk>", policies.OnePolicy.as_view(), name="policy"),
    path("policies/<int:pk>/lineage", lineage.PolicyLineage.as_view(), name="policy-lineage"),
    path("policies/<int:pk>/judgments", lineage.PolicyJudgments.as_view(), name="policy-judgments"),
    path("judgments/<uuid:uid>/lineage", lineage.JudgmentLineage.as_view(), name="judgment-lineage"),
    path("runs", runs.Runs.as_view(), name="runs"),
    path("runs/<uuid:uid>", runs.OneRun.as_view(), name="run"),
    path("runs/<uuid:uid>/events", run_events.Events.as_view(), name="run-events"),
    path("runs/<uuid:uid>/cancel", runs.Cancel.as_view(), name="run-cancel"),
    path("runs/<uuid:uid>/retry", runs.Retry.as_view(), name="run-retry"),
    path("iterations", iterations.Iterations.as_view(), name="iterations"),
    path("iterations/<int:pk>", iterations.OneIteration.as_view(), name="iteration"),
]
