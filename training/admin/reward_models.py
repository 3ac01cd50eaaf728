"""What the loop adds to a reward model's page: the run that compares it with the current one."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse

from annotation.admin.base import Step
from rewardmodel.admin import RewardModelAdmin
from rewardmodel.models import RewardModelVersion
from rewardmodel.standing import Standing
from training.core.spec import RunKind


class LoopRewardModelAdmin(RewardModelAdmin):
    def steps(self, standing: Standing) -> list[Step]:
        """Where nothing is known of the two together, comparing them is the next thing."""
        steps = super().steps(standing)
        if standing.is_current or standing.current is None:
            return steps
        place = reverse("admin:training_run_start_kind", args=(RunKind.COMPARE_REWARD_MODELS,))
        first = standing.evidence is None or bool(standing.evidence.left_out)
        compare = Step("Compare…", f"{place}?reward_model={standing.version.pk}", filled=first)
        return [compare, *steps] if first else [*steps, compare]


admin.site.unregister(RewardModelVersion)
admin.site.register(RewardModelVersion, LoopRewardModelAdmin)
