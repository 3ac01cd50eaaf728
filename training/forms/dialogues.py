"""Forms of the runs that make dialogues to learn from."""

from __future__ import annotations

from annotation.core.grades import Focus
from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, seed_field
from training.models import Run
from training.services import start


class GattForm(StartForm):
    kind = RunKind.GATT
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="Answers every turn.")
    seed = seed_field()

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_gatt(policy=data["policy"], params=self.params(), seed=data["seed"], by=by)


class DistillForm(StartForm):
    kind = RunKind.DISTILL
    policy = RowField(
        overview.policies(), none=NO_POLICY, help_text="Answers with the pre-prompt and without."
    )
    safety = RowField(
        overview.reward_models(Focus.SAFETY),
        none="There is no safety reward model yet. Train one first.",
        help_text="Decides which answers are kept.",
    )
    seed = seed_field()

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_distill(
            policy=data["policy"], safety=data["safety"], params=self.params(), seed=data["seed"], by=by
        )


class SelfChatForm(StartForm):
    kind = RunKind.SELF_CHAT
    policy = RowField(overview.policies(), none=NO_POLICY, help_text="Writes both sides.")
    seed = seed_field()

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_self_chat(policy=data["policy"], params=self.params(), seed=data["seed"], by=by)
