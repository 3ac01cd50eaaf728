"""The two clients: the same collections, asked in turn (`Margin`) or on an event loop (`AsyncMargin`)."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self

import httpx

from margin_client.errors import MarginError
from margin_client.resources.data import Agreement, Batches, Comparisons, Dialogues, Judgments, Prompts
from margin_client.resources.house import Imports, Me, Webhooks
from margin_client.resources.models import Policies, RewardModels
from margin_client.resources.runs import Iterations, Runs
from margin_client.resources.snapshots import Snapshots
from margin_client.steps import AsyncDriver, SyncDriver
from margin_client.wire import D, Wire

__version__: Final = "0.1.0"
TIMEOUT: Final = 30.0  # seconds without a byte
RETRIES: Final = 5
PATIENCE: Final = 120.0  # seconds that a server may ask us to wait


class _Client(Generic[D]):
    """The collections, whichever way they are asked."""

    def __init__(self, wire: Wire, driver: D, cache: Path) -> None:
        self.driver: D = driver
        self.prompts = Prompts(wire, driver)
        self.dialogues = Dialogues(wire, driver)
        self.comparisons = Comparisons(wire, driver)
        self.judgments = Judgments(wire, driver)
        self.batches = Batches(wire, driver)
        self.agreement = Agreement(wire, driver)
        self.snapshots = Snapshots(wire, driver, cache)
        self.reward_models = RewardModels(wire, driver)
        self.policies = Policies(wire, driver)
        self.runs = Runs(wire, driver)
        self.iterations = Iterations(wire, driver)
        self.imports = Imports(wire, driver)
        self.webhooks = Webhooks(wire, driver)
        self.me = Me(wire, driver)


class Margin(_Client[SyncDriver]):
    """A client that waits for each answer. Use it in `with`, or call `close`.

    `url` and `token` come from MARGIN_URL and MARGIN_TOKEN where they are not given; `timeout` is in seconds without
    a byte, `retries` counts further attempts after a first one, `cache` is the folder of loaded snapshots
    (MARGIN_CACHE, else ~/.cache/margin), `transport` is httpx's, for tests and proxies.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        patience: float = PATIENCE,
        cache: str | Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.http = httpx.Client(transport=transport, **_options(url, token, timeout))
        super().__init__(Wire(self.http, retries, patience), SyncDriver(self.http), _cache(cache))

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncMargin(_Client[AsyncDriver]):
    """The same for an event loop: `await` what `Margin` returns, `async for` what it iterates over."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        patience: float = PATIENCE,
        cache: str | Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.http = httpx.AsyncClient(transport=transport, **_options(url, token, timeout))
        super().__init__(Wire(self.http, retries, patience), AsyncDriver(self.http), _cache(cache))

    async def close(self) -> None:
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _options(url: str | None, token: str | None, timeout: float) -> dict[str, Any]:
    url = (url or os.environ.get("MARGIN_URL", "")).rstrip("/")
    token = (token or os.environ.get("MARGIN_TOKEN", "")).strip()
    if not url.startswith(("http://", "https://")):
        raise MarginError("Say where Margin is: Margin(url='https://…'), or the variable MARGIN_URL.")
    if not token:
        raise MarginError(
            "Show a token: Margin(token='margin_…'), or the variable MARGIN_TOKEN. Make one on Margin's page of tokens."
        )
    if not (token.isascii() and token.isprintable()):
        raise MarginError("This token has characters that no token has. Copy it anew.")
    return {
        "base_url": f"{url}/api/v1/",
        "timeout": timeout,
        "headers": {"Authorization": f"Bearer {token}", "User-Agent": f"margin-client/{__version__}"},
    }


def _cache(given: str | Path | None) -> Path:
    if given or (given := os.environ.get("MARGIN_CACHE")):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "margin"
