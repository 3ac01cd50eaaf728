"""The addresses of the data's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.api import (
    agreement,
    batches,
    comparisons,
    dialogues,
    earlier,
    guidelines,
    imports,
    judgments,
    me,
    passes,
    prompts,
    snapshot_files,
    snapshots,
    tokens,
    webhooks,
    workbench,
)
from annotation.api.kit.rows import by_method

app_name = "api"
urlpatterns: list[URLPattern | URLResolver] = [
    path("comparisons/next", workbench.next_pairs, name="next"),
    path("comparisons", comparisons.Comparisons.as_view(), name="comparisons"),
    path("comparisons/<key:key>", comparisons.OneComparison.as_view(), name="comparison"),
    path("judgments", by_method(judgments.Judgments, POST=workbench.judgments), name="judgments"),
    path("judgments/<uuid:uid>", judgments.OneJudgment.as_view(), name="judgment"),
    path("judgments/<uuid:uid>/retract", workbench.retract, name="retract"),
    path("me", me.Me.as_view(), name="me"),
    path("me/judgments/last", earlier.last, name="own-judgment-last"),
    path("me/judgments/<uuid:uid>", earlier.one, name="own-judgment"),
    path("tokens", tokens.Tokens.as_view(), name="tokens"),
    path("tokens/<int:pk>", tokens.OneToken.as_view(), name="token"),
    path("prompts", prompts.Prompts.as_view(), name="prompts"),
    path("prompts/<key:key>", prompts.OnePrompt.as_view(), name="prompt"),
    path("dialogues", dialogues.Dialogues.as_view(), name="dialogues"),
    path("dialogues/<key:key>", dialogues.OneDialogue.as_view(), name="dialogue"),
    path("batches", batches.Batches.as_view(), name="batches"),
    path("batches/<int:number>", batches.OneBatch.as_view(), name="batch"),
    path("batches/<int:number>/open", batches.OpenBatch.as_view(), name="batch-open"),
    path("batches/<int:number>/seal", batches.SealBatch.as_view(), name="batch-seal"),
    path("imports", imports.ImportList.as_view(), name="imports"),
    path("imports/formats", imports.ImportFormats.as_view(), name="import-formats"),
    path("agreement", agreement.Agreement.as_view(), name="agreement"),
    path("passes", passes.passes, name="passes"),
    path("passes/<uuid:uid>/retract", passes.retract, name="pass-retract"),
    path("guidelines/<int:pk>/read", guidelines.read, name="guideline-read"),
    path("guidelines/<int:pk>/reports", guidelines.reports, name="guideline-reports"),
    path("guidelines/<slug:focus>", guidelines.guideline, name="guideline"),
    path("me/preferences", me.preferences, name="preferences"),
    path("me/safety", me.safety, name="safety"),
    path("snapshots", snapshots.Snapshots.as_view(), name="snapshots"),
    path("snapshots/<int:pk>", snapshots.OneSnapshot.as_view(), name="snapshot"),
    path("snapshots/<int:pk>/changes", snapshots.SnapshotChanges.as_view(), name="snapshot-changes"),
    path("snapshots/<int:pk>/formats", snapshots.SnapshotFormats.as_view(), name="snapshot-formats"),
    path(
        "snapshots/<int:pk>/withdrawals", snapshots.SnapshotWithdrawals.as_view(), name="snapshot-withdrawals"
    ),
    path(
        "snapshots/<int:pk>/files/<path:path>",
        snapshot_files.SnapshotFileContent.as_view(),
        name="snapshot-file",
    ),
    path("webhooks", webhooks.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<int:pk>", webhooks.WebhookItem.as_view(), name="webhook"),
    path("webhooks/<int:pk>/ping", webhooks.WebhookPing.as_view(), name="webhook-ping"),
    path("webhooks/<int:pk>/secret", webhooks.WebhookSecret.as_view(), name="webhook-secret"),
    path("webhooks/<int:pk>/deliveries", webhooks.WebhookDeliveries.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<int:pk>/deliveries/<uuid:uid>/replay",
        webhooks.WebhookReplay.as_view(),
        name="webhook-replay",
    ),
]
