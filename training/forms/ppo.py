"""The form of PPO."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, name_field, seed_field
from training.models import Run
from training.services import start


class PpoForm(StartForm):
    kind = RunKind.PPO
    name = name_field()
    policy = RowField(
        overview.policies(),
        none=NO_POLICY,
        help_text="Where it starts, and what it is kept close to. An adapter goes into its weights first.",
    )
    helpfulness = RowField(
        overview.reward_models(Focus.HELPFULNESS),
        none="There is no helpfulness reward model yet. Train one first.",
        help_text="Rewards what is helpful.",
    )
    safety = RowField(
        overview.reward_models(Focus.SAFETY),
        none="There is no safety reward model yet. Train one first.",
        help_text="Rewards what is safe.",
    )
    seed = seed_field()

    def suggestion(self) -> str:
        return overview.free_name("ppo", self.kind)

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_ppo(
            name=self.chosen_name(),
            policy=data["policy"],
            helpfulness=data["helpfulness"],
            safety=data["safety"],
            params=self.params(),
            seed=data["seed"],
            by=by,
        )
