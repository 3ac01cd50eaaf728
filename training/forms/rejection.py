"""The form of rejection sampling."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, seed_field
from training.models import Run
from training.services import start


class RejectionSampleForm(StartForm):
    kind = RunKind.REJECTION_SAMPLE
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="Draws the samples.")
    helpfulness = RowField(
        overview.reward_models(Focus.HELPFULNESS),
        none="There is no helpfulness reward model yet. Train one first.",
        help_text="Scores how helpful each sample is.",
    )
    safety = RowField(
        overview.reward_models(Focus.SAFETY),
        none="There is no safety reward model yet. Train one first.",
        help_text="Scores how safe each sample is.",
    )
    seed = seed_field()

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_rejection_sample(
            policy=data["policy"],
            helpfulness=data["helpfulness"],
            safety=data["safety"],
            params=self.params(),
            seed=data["seed"],
            by=by,
        )
