"""Forms of the runs that bring policies and their pairs."""

from __future__ import annotations

from typing import Any

from annotation.models import User
from training import overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, name_field, seed_field
from training.models import Run
from training.services import start


class ImportPolicyForm(StartForm):
    kind = RunKind.IMPORT_POLICY
    name = name_field()

    def suggestion(self) -> str:
        return overview.free_name("V0", self.kind)

    def start(self, by: User) -> Run:
        return start.start_import_policy(name=self.chosen_name(), params=self.params(), by=by)


class SampleForm(StartForm):
    kind = RunKind.SAMPLE
    batch = RowField(
        overview.batches_that_take_pairs(),
        none="There is no batch that takes pairs. Plan one first.",
        help_text="Where the pairs wait for annotators.",
    )
    newest = RowField(overview.policies(), none=NO_POLICY, label="Policy", help_text="Answers one side.")
    previous = RowField(
        overview.policies(),
        none=NO_POLICY,
        required=False,
        label="Other policy",
        help_text="Answers the other side; empty: the same policy answers both.",
    )
    seed = seed_field()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        newest, *others = run.inputs["policies"]
        return {**super().initial_from(run), "newest": newest, "previous": others[-1] if others else None}

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        return start.start_sample(
            batch=data["batch"],
            policies=[policy for policy in (data["newest"], data["previous"]) if policy is not None],
            params=self.params(),
            seed=data["seed"],
            by=by,
        )
