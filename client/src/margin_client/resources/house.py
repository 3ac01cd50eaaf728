"""Whose token this is, webhooks, and files of judgments from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from margin_client.errors import MarginError
from margin_client.steps import Series, Steps, endpoint, feed
from margin_client.types import Delivery, ImportFormat, ImportReport, NewSecret, Person, Webhook
from margin_client.wire import D, FileBody, Resource, at, given

IMPORT_TIMEOUT: Final = 600.0  # seconds that a server may need for a large file


class Me(Resource[D]):
    """Whoever the token acts as."""

    @endpoint
    def get(self) -> Steps[Person]:
        return Person.of((yield from self.wire.ask("GET", "me")).json())


class Imports(Resource[D]):
    """Files of judgments or prompts from elsewhere."""

    @endpoint
    def formats(self) -> Steps[Sequence[ImportFormat]]:
        """Every format: what becomes of each field, and what has to be said beside the rows."""
        response = yield from self.wire.ask("GET", at("imports", "formats"))
        return [ImportFormat.of(row) for row in response.json()["results"]]

    @endpoint
    def create(
        self,
        file: str | Path,
        *,
        format: str,  # noqa: A002  the API's word
        batch: int | Literal["new"] | None = None,
        dry_run: bool = False,
        ties: str | None = None,
        skip_invalid: bool | None = None,
        mapping: Mapping[str, Any] | None = None,
    ) -> Steps[ImportReport]:
        """Send a file as it is, plain or gzip: all of it is stored, or nothing. The same file again adds nothing.

        Without a `batch` it goes into the open one. With `dry_run` nothing is stored and the report says what would be.

        Raises:
            InvalidError: rows are bad; `errors` names the first of them. `skip_invalid` leaves them out instead.
        """
        path = Path(file)
        if not path.is_file():
            raise MarginError(f"There is no file {path}.")
        params = given(
            format=format,
            batch=batch,
            dry_run=dry_run or None,
            ties=ties,
            skip_invalid=skip_invalid,
            mapping=None if mapping is None else json.dumps(mapping),
            name=path.name,
        )
        response = yield from self.wire.ask(
            "POST",
            "imports",
            params=params,
            content=FileBody(path),
            headers={"Content-Type": "application/octet-stream"},
            timeout=IMPORT_TIMEOUT,
        )
        return ImportReport.of(response.json())


class Webhooks(Resource[D]):
    """Addresses that are told of events."""

    @feed
    def list(self) -> Series[Webhook]:
        return self.wire.pages("webhooks", Webhook.of, {})

    @endpoint
    def get(self, webhook: int) -> Steps[Webhook]:
        return Webhook.of((yield from self.wire.ask("GET", at("webhooks", webhook))).json())

    @endpoint
    def create(self, url: str, *, name: str, events: Sequence[str] = ()) -> Steps[Webhook]:
        body = {"url": url, "name": name, "events": list(events)}
        return Webhook.of((yield from self.wire.ask("POST", "webhooks", body=body)).json())

    @endpoint
    def change(
        self,
        webhook: int,
        *,
        url: str | None = None,
        name: str | None = None,
        events: Sequence[str] | None = None,
        active: bool | None = None,
    ) -> Steps[Webhook]:
        body = given(url=url, name=name, events=None if events is None else list(events), active=active)
        return Webhook.of((yield from self.wire.ask("PATCH", at("webhooks", webhook), body=body)).json())

    @endpoint
    def delete(self, webhook: int) -> Steps[None]:
        yield from self.wire.ask("DELETE", at("webhooks", webhook))

    @endpoint
    def ping(self, webhook: int) -> Steps[Delivery]:
        """Have a test event sent."""
        return Delivery.of((yield from self.wire.ask("POST", at("webhooks", webhook, "ping"))).json())

    @endpoint
    def rotate_secret(self, webhook: int) -> Steps[NewSecret]:
        """Replace what deliveries are signed with; the old secret signs beside the new one for a day."""
        return NewSecret.of((yield from self.wire.ask("POST", at("webhooks", webhook, "secret"))).json())

    @feed
    def deliveries(
        self,
        webhook: int,
        *,
        state: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
    ) -> Series[Delivery]:
        """What it was told in the last 30 days, the newest first."""
        filters = given(state=state, event=event, since=since)
        return self.wire.pages(at("webhooks", webhook, "deliveries"), Delivery.of, filters)

    @endpoint
    def replay(self, webhook: int, delivery: str) -> Steps[Delivery]:
        """Send an event once more."""
        address = at("webhooks", webhook, "deliveries", delivery, "replay")
        return Delivery.of((yield from self.wire.ask("POST", address)).json())
