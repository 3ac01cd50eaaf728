"""The form of supervised fine-tuning."""

from __future__ import annotations

from typing import Any

from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, name_field, seed_field
from training.models import Run
from training.services import start


class FinetuneForm(StartForm):
    kind = RunKind.FINETUNE
    name = name_field()
    base = RowField(overview.whole_policies(), none=NO_POLICY, help_text="Where it starts (section 3.2.3).")
    selection = RowField(
        overview.selections(),
        none="There are no winners yet. Sample and select first.",
        help_text="The run whose winners it learns from.",
    )
    seed = seed_field()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        return {**super().initial_from(run), "selection": run.inputs["selections"][-1]}

    def suggestion(self) -> str:
        return overview.free_name("tuned", self.kind)

    def start(self, by: User) -> Run:
        return start.start_finetune(
            name=self.chosen_name(),
            base=self.cleaned_data["base"],
            selection=self.cleaned_data["selection"],
            params=self.params(),
            seed=self.cleaned_data["seed"],
            by=by,
        )
