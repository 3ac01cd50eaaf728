"""What people wrote and said: prompts, dialogues, comparisons, judgments, batches, and how people agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from margin_client.steps import Series, Steps, endpoint, feed
from margin_client.types import AddedPrompts, AgreementReport, Batch, Comparison, Dialogue, Judgment, Prompt
from margin_client.wire import D, Resource, at, given


class Prompts(Resource[D]):
    """What dialogues begin with."""

    @feed
    def list(
        self,
        *,
        focus: str | None = None,
        language: str | None = None,
        category: str | None = None,
        risk: str | None = None,
        attack: str | None = None,
        split: str | None = None,
        in_pool: bool | None = None,
        source: str | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Prompt]:
        filters = given(
            focus=focus,
            language=language,
            category=category,
            risk=risk,
            attack=attack,
            split=split,
            in_pool=in_pool,
            source=source,
        )
        return self.wire.pages("prompts", Prompt.of, {"fields": fields, **filters})

    @endpoint
    def get(self, key: str, *, fields: Sequence[str] = ()) -> Steps[Prompt]:
        response = yield from self.wire.ask("GET", at("prompts", key), params={"fields": fields})
        return Prompt.of(response.json())

    @endpoint
    def add(self, prompts: Sequence[Mapping[str, Any]]) -> Steps[AddedPrompts]:
        """Add up to 1,000 to the pool, all or none; each has at least `text` and `focus`."""
        body = {"prompts": [dict(prompt) for prompt in prompts]}
        return AddedPrompts.of((yield from self.wire.ask("POST", "prompts", body=body)).json())


class Dialogues(Resource[D]):
    """Conversations that wait for an answer, and the answers that they were given."""

    @feed
    def list(
        self,
        *,
        prompt: str | None = None,
        focus: str | None = None,
        turns: int | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Dialogue]:
        filters = given(prompt=prompt, focus=focus, turns=turns)
        return self.wire.pages("dialogues", Dialogue.of, {"fields": fields, **filters})

    @endpoint
    def get(self, key: str, *, fields: Sequence[str] = ()) -> Steps[Dialogue]:
        response = yield from self.wire.ask("GET", at("dialogues", key), params={"fields": fields})
        return Dialogue.of(response.json())


class Comparisons(Resource[D]):
    """Pairs of responses."""

    @feed
    def list(
        self,
        *,
        batch: int | None = None,
        focus: str | None = None,
        state: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        disputed: bool | None = None,
        attention_check: bool | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Comparison]:
        filters = given(
            batch=batch,
            focus=focus,
            state=state,
            language=language,
            prompt=prompt,
            disputed=disputed,
            attention_check=attention_check,
        )
        return self.wire.pages("comparisons", Comparison.of, {"fields": fields, **filters})

    @endpoint
    def get(self, key: str, *, fields: Sequence[str] = ()) -> Steps[Comparison]:
        response = yield from self.wire.ask("GET", at("comparisons", key), params={"fields": fields})
        return Comparison.of(response.json())


class Judgments(Resource[D]):
    """What people said of pairs, under their pseudonyms."""

    @feed
    def list(
        self,
        *,
        batch: int | None = None,
        comparison: str | None = None,
        annotator: str | None = None,
        focus: str | None = None,
        grade: str | None = None,
        safety: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        attention_check: bool | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Judgment]:
        filters = given(
            batch=batch,
            comparison=comparison,
            annotator=annotator,
            focus=focus,
            grade=grade,
            safety=safety,
            source=source,
            since=since,
            attention_check=attention_check,
        )
        return self.wire.pages("judgments", Judgment.of, {"fields": fields, **filters})

    @endpoint
    def get(self, uid: str, *, fields: Sequence[str] = ()) -> Steps[Judgment]:
        response = yield from self.wire.ask("GET", at("judgments", uid), params={"fields": fields})
        return Judgment.of(response.json())


class Batches(Resource[D]):
    """Weeks: planned, opened, sealed."""

    @feed
    def list(self, *, state: str | None = None, fields: Sequence[str] = ()) -> Series[Batch]:
        return self.wire.pages("batches", Batch.of, {"fields": fields, "state": state})

    @endpoint
    def get(self, number: int, *, fields: Sequence[str] = ()) -> Steps[Batch]:
        response = yield from self.wire.ask("GET", at("batches", number), params={"fields": fields})
        return Batch.of(response.json())

    @endpoint
    def create(self, /, **plan: Any) -> Steps[Batch]:
        response = yield from self.wire.ask("POST", "batches", body=plan)
        return Batch.of(response.json())

    @endpoint
    def open(self, number: int) -> Steps[Batch]:
        """Let people judge it."""
        response = yield from self.wire.ask("POST", at("batches", number, "open"))
        return Batch.of(response.json())

    @endpoint
    def seal(self, number: int) -> Steps[Batch]:
        """End it: from now on nothing in it changes."""
        response = yield from self.wire.ask("POST", at("batches", number, "seal"))
        return Batch.of(response.json())


class Agreement(Resource[D]):
    """How people agree."""

    @endpoint
    def get(self, *, batch: int, focus: str | None = None) -> Steps[AgreementReport]:
        response = yield from self.wire.ask("GET", "agreement", params={"batch": batch, "focus": focus})
        return AgreementReport.of(response.json())
