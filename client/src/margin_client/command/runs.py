"""`margin runs`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from margin_client.client import Margin
from margin_client.command.context import (
    FAILED,
    AsJson,
    complain,
    connect,
    print_json,
    printable,
    refuse,
    show,
    show_one,
)
from margin_client.types import RunEvent

COLUMNS = ("uid", "kind", "state", "name", "percent", "message", "created_at")

app = typer.Typer(help="Everything that computes with a model.", invoke_without_command=True)


@app.callback()
def runs(
    context: typer.Context,
    follow: Annotated[
        str | None, typer.Option("--follow", metavar="UID", help="Same as `margin runs follow UID`.")
    ] = None,
) -> None:
    if follow is not None:
        follow_run(follow)
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list")
def list_runs(
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed, …")] = None,
    kind: Annotated[str | None, typer.Option(help="train_reward_model, sample, …")] = None,
    as_json: AsJson = False,
) -> None:
    """Every run, the newest first."""
    with connect() as client:
        show(client.runs.list(state=state, kind=kind), COLUMNS, as_json=as_json)


@app.command("show")
def show_run(uid: str, as_json: AsJson = False) -> None:
    """One run."""
    with connect() as client:
        show_one(client.runs.get(uid), as_json=as_json)


@app.command()
def start(
    kind: Annotated[str, typer.Argument(help="train_reward_model, sample, …")],
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="What it works on, or how; the value in JSON or as text."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Stay until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a run."""
    with connect() as client:
        run = client.runs.start(kind, **_pairs(setting))
        if follow:
            _follow(client, run.uid, as_json=as_json)
        else:
            show_one(run, as_json=as_json)


@app.command()
def cancel(uid: str, as_json: AsJson = False) -> None:
    """Ask a run to stop."""
    with connect() as client:
        show_one(client.runs.cancel(uid), as_json=as_json)


@app.command()
def retry(uid: str, as_json: AsJson = False) -> None:
    """Queue a run again; it goes on from its last checkpoint."""
    with connect() as client:
        show_one(client.runs.retry(uid), as_json=as_json)


@app.command("follow")
def follow_run(uid: str, as_json: AsJson = False) -> None:
    """What a run says of itself, until it ends. Ends with 1 unless the run has succeeded."""
    with connect() as client:
        _follow(client, uid, as_json=as_json)


def _follow(client: Margin, uid: str, *, as_json: bool) -> None:
    last: RunEvent | None = None
    for last in client.runs.follow(uid):
        if as_json:
            print_json(last.as_dict())
        else:
            print(_line(last), flush=True)
    said = last.data if last else {}
    if said.get("state") != "succeeded":
        complain(f"Run {uid} has {said.get('state')}. {said.get('message', '')}".strip())
        raise typer.Exit(FAILED)


def _pairs(texts: list[str] | None) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            refuse(f"{text!r} is not NAME=VALUE.")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs


def _line(event: RunEvent) -> str:
    said = " ".join(f"{name}={_value(value)}" for name, value in event.data.items())
    time = f"{event.at:%H:%M:%S}" if event.at else " " * 8
    return printable(f"{time} {event.type:<9} {said}".rstrip())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
