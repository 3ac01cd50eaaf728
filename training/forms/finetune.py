"""The form of supervised fine-tuning."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Model

from annotation.models import User
from training import learnable, overview
from training.core.spec import RunKind
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, RowField, name_field, seed_field
from training.models import Run
from training.services import start
from training.services.conversations import keep_conversations


class RunsField(forms.ModelMultipleChoiceField[Any]):
    """Any number of runs, named by what they did and for which iteration."""

    def label_from_instance(self, obj: Model) -> str:
        of = f" of {obj.iteration}" if isinstance(obj, Run) and obj.iteration else ""
        return f"{obj}{of}"


class FinetuneForm(StartForm):
    kind = RunKind.FINETUNE
    name = name_field()
    base = RowField(overview.whole_policies(), none=NO_POLICY, help_text="Where it starts (section 3.2.3).")
    selection = RowField(
        overview.selections(),
        none="",
        required=False,
        initial=overview.selections().first,
        label="Winners",
        help_text="The run whose winners it learns from.",
    )
    targets = RunsField(
        learnable.runs_with_targets(),
        required=False,
        label="Dialogues that runs made",
        help_text="Ghost Attention, distilled answers, self-chat.",
    )
    snapshot = RowField(
        overview.snapshots_by_weeks(),
        none="",
        required=False,
        help_text="The responses that people chose in its training pairs, but for unsafe ones.",
    )
    file = forms.FileField(
        required=False,
        label="Conversations",
        help_text='JSON lines, {"messages": [{"role", "content"}, ...]} each; every answer is learnt.',
    )
    conversations = forms.RegexField(
        r"^[0-9a-f]{64}$",
        required=False,
        label="Or the hash of conversations that are kept",
        help_text="As manage.py add_conversations prints it.",
    )
    seed = seed_field()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        given = super().initial_from(run)
        return {"snapshot": None, **given, "selection": (run.inputs.get("selections") or [None])[-1]}

    def suggestion(self) -> str:
        return overview.free_name("tuned", self.kind)

    def start(self, by: User) -> Run:
        data = self.cleaned_data
        conversations = data["conversations"]
        if data["file"]:
            conversations = keep_conversations(source=data["file"].file).sha256
        return start.start_finetune(
            name=self.chosen_name(),
            base=data["base"],
            selection=data["selection"],
            targets=list(data["targets"]),
            snapshot=data["snapshot"],
            conversations=conversations,
            params=self.params(),
            seed=data["seed"],
            by=by,
        )
