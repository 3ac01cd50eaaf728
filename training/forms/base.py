"""What every form that starts a run does."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from annotation.models import User
from training import overview
from training.core.spec import SPECS, RunKind
from training.forms.fields import RowField, field_of
from training.models import Run


class StartForm(forms.Form):
    """What every kind's form does: own inputs first, then the parameters of its spec."""

    kind: ClassVar[RunKind]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = list(self.fields)
        for name, info in SPECS[self.kind].model_fields.items():
            self.fields[name] = field_of(name, info)
        if "name" in self.fields:
            self.fields["name"].widget.attrs["placeholder"] = self.suggestion()

    @classmethod
    def initial_from(cls, run: Run) -> dict[str, Any]:
        """What a run was given; its name where that is free again."""
        name = run.inputs.get("name", "") if overview.is_waited_for(run) else ""
        return {**run.inputs, **run.params, "seed": run.seed, "name": name}

    def missing(self) -> list[str]:
        """What must be there before this kind of run can be started."""
        rows = [field for field in self.fields.values() if isinstance(field, RowField) and field.required]
        wanted = [field.none for field in rows if not field.queryset or not field.queryset.exists()]
        return list(dict.fromkeys(wanted))

    def suggestion(self) -> str:
        """A name that is free."""
        return ""

    def params(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in SPECS[self.kind].model_fields}

    def chosen_name(self) -> str:
        return str(self.cleaned_data["name"] or self.suggestion())

    def start(self, by: User) -> Run:
        raise NotImplementedError
