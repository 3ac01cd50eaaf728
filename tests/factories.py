"""Small makers of rows for tests, through the services where there is one."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.forms import Form
from django.utils import timezone

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.models import Batch, Comparison, Judgment, User
from annotation.services.allocation import lease_next
from annotation.services.batches import create_batch, open_batch
from annotation.services.ingest import NewPair, NewResponse, ingest_pairs
from annotation.services.judgments import Answer, submit_judgment
from training.models import PolicyVersion


def make_user(name: str, *, safety: bool = True, **columns: Any) -> User:
    """Somebody who agreed to see safety pairs, unless told otherwise."""
    columns.setdefault("safety_consent_at", timezone.now() if safety else None)
    return User.objects.create_user(
        username=name, password="correct horse battery", pseudonym=f"annotator-{name}", **columns
    )


def make_batch(*, overlap: int = 1, holdout: int = 1000, seed: int = 0) -> Batch:
    return open_batch(batch=create_batch(overlap=overlap, holdout=holdout, seed=seed))


def make_comparisons(
    batch: Batch, count: int = 1, *, focus: Focus = Focus.HELPFULNESS, policy: str = "policy-x"
) -> list[Comparison]:
    """New pairs, each of its own prompt."""
    start = batch.comparisons.count()
    pairs = [
        NewPair(
            messages=({"role": "user", "content": f"Question {batch.number}.{i} about {focus}?"},),
            focus=focus,
            first=NewResponse(text=f"A first answer to {i}.", policy=policy, temperature=0.7, seed=1),
            second=NewResponse(text=f"Another answer to {i}!", policy=policy, temperature=1.0, seed=2),
        )
        for i in range(start, start + count)
    ]
    ingest_pairs(batch=batch, pairs=pairs)
    return list(batch.comparisons.order_by("pk")[start : start + count])


def make_judgment(
    annotator: User,
    *,
    choice: Choice = Choice.A,
    grade: Grade = Grade.BETTER,
    safety: SafetyLabel | None = None,
) -> Judgment:
    """Lease the next pair and judge it."""
    comparison = lease_next(annotator=annotator)[0]
    if comparison.focus == Focus.SAFETY and safety is None:
        safety = SafetyLabel.BOTH_SAFE
    return submit_judgment(
        annotator=annotator,
        comparison_key=comparison.key,
        uid=uuid4(),
        answer=Answer(choice=choice, grade=grade, safety=safety),
    )


def form_data(form: Form, **changes: Any) -> dict[str, Any]:
    """What a browser would send of an unbound form as it is shown, with some fields changed; None: left empty."""
    shown = {bound.name: bound.field.prepare_value(bound.value()) for bound in form}
    sent = {**shown, **changes}
    return {name: value for name, value in sent.items() if value is not None and value is not False}


def make_policy(name: str = "V0", *, path: str = "", **columns: Any) -> PolicyVersion:
    return PolicyVersion.objects.create(
        name=name, path=path or f"runs/{name}", sha256="0" * 64, run=f"made-{name}", **columns
    )
