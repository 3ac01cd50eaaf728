"""Registering policy versions."""

from __future__ import annotations

from django.db import transaction

from annotation.errors import ConflictError
from training.models import PolicyVersion, Run
from training.services.references import output_path


@transaction.atomic
def register_policy(
    *,
    name: str,
    sha256: str,
    run: Run,
    parent: PolicyVersion | None = None,
    adapter_on: PolicyVersion | None = None,
) -> PolicyVersion:
    """A new version of what `run` made; `sha256` is that of its manifest file.

    Raises:
        ConflictError: the name was taken while the run worked.
    """
    if PolicyVersion.objects.filter(name=name).exists():
        raise ConflictError(
            f"A policy named {name!r} was registered meanwhile. What this run made is kept in its folder."
        )
    return PolicyVersion.objects.create(
        name=name,
        parent=parent,
        adapter_on=adapter_on,
        path=output_path(run),
        sha256=sha256,
        run=str(run.uid),
    )
