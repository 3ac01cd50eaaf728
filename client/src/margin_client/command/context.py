"""What every command shares: the client, errors in one line, and two ways to print, for people and for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from margin_client.client import Margin
from margin_client.errors import InvalidError, MarginError, NotFoundError, SignedOutError, UnreachableError
from margin_client.records import Record

FAILED: Final = 1  # the server said no, or the work did
USAGE: Final = 2  # what was asked cannot be understood (click's own number)
CODES: Final[Mapping[type[MarginError], int]] = {
    InvalidError: USAGE,
    NotFoundError: 3,
    SignedOutError: 4,
    UnreachableError: 5,
}

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]


@dataclass
class Access:
    """Where Margin is, and the token; None: from the environment."""

    url: str | None = None
    token: str | None = None


access = Access()


@contextmanager
def connect() -> Iterator[Margin]:
    """The client; what goes wrong ends the command with one line and the number of its kind."""
    try:
        with Margin(access.url, access.token) as client:
            yield client
    except MarginError as error:
        complain(str(error))
        raise typer.Exit(CODES.get(type(error), FAILED)) from None


def complain(text: str) -> None:
    print(f"margin: {printable(text)}", file=sys.stderr)


def refuse(text: str) -> NoReturn:
    """End the command over something on its line."""
    complain(text)
    raise typer.Exit(USAGE)


def show(rows: Iterable[Record], columns: Sequence[str], *, as_json: bool) -> None:
    """Rows as a table of some columns, or whole as lines of JSON, as they come."""
    if as_json:
        for row in rows:
            print_json(row.as_dict())
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        said = row.as_dict()
        table.add_row(*(_cell(said.get(name)) for name in columns))
    Console().print(table)


def show_one(row: Record, *, as_json: bool) -> None:
    """One object, a field a line, or as JSON."""
    if as_json:
        print_json(row.as_dict())
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in row.as_dict().items():
        table.add_row(Text(name, "bold"), _cell(value))
    Console().print(table)


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _cell(value: Any) -> Text:
    if value is None:
        return Text()
    return Text(printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))


def printable(text: str) -> str:
    """Whatever people wrote must not steer the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """What `snapshots.download` tells its progress to: bars on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # noqa: PLC0415  slow

    console = Console(stderr=True)
    bars: dict[str, Any] = {}
    with Progress(
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    ) as progress:

        def tell(path: str, done: int, total: int) -> None:
            if path not in bars:
                bars[path] = progress.add_task(path, total=total)
            progress.update(bars[path], completed=done)

        yield tell
