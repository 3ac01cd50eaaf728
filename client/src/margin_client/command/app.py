"""`margin`: batches, snapshots, export, import, runs, score, whoami.

Thin doors to the client: a command reads its options, asks once and prints. Ends with 0, 1 (the server or the work
said no), 2 (cannot be understood), 3 (not there), 4 (no good token) or 5 (no answer).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from margin_client.client import __version__
from margin_client.command import runs, snapshots
from margin_client.command.context import (
    AsJson,
    access,
    connect,
    print_json,
    progress_bar,
    refuse,
    show,
    show_one,
)

app = typer.Typer(
    name="margin",
    help="Human preference data, snapshots, runs and reward models of a Margin server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
batches = typer.Typer(help="Weeks: planned, open, sealed.", no_args_is_help=True)
app.add_typer(batches, name="batches")
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(runs.app, name="runs")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"margin-client {__version__}")
        raise typer.Exit


@app.callback()
def main(
    url: Annotated[str | None, typer.Option(envvar="MARGIN_URL", help="Where Margin is.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MARGIN_TOKEN",
            show_envvar=True,
            help="Access token; better in the variable than on the line, which others can see. `-`: ask for it.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    access.url = url
    wants_prompt = token == "-"  # noqa: S105  a sign, not a token
    access.token = typer.prompt("Token", hide_input=True, err=True) if wants_prompt else token


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Whose token this is, and what it may do."""
    with connect() as client:
        show_one(client.me.get(), as_json=as_json)


@batches.command("list")
def list_batches(
    state: Annotated[str | None, typer.Option(help="planned, open or sealed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every week, the newest first."""
    with connect() as client:
        show(
            client.batches.list(state=state),
            ("number", "name", "state", "overlap", "target", "opened_at", "sealed_at"),
            as_json=as_json,
        )


@batches.command("show")
def show_batch(number: int, as_json: AsJson = False) -> None:
    """One week."""
    with connect() as client:
        show_one(client.batches.get(number), as_json=as_json)


@app.command()
def export(
    snapshot: Annotated[str, typer.Argument(help="Id or name.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the files; made if it is not there.")],
    format: Annotated[  # noqa: A002  the option's name
        str, typer.Option("--format", help="native, trl-preference, openrlhf, …; written first if need be.")
    ] = "native",
    version: Annotated[int | None, typer.Option(help="Of a name; without it the newest.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Bring a snapshot's files. What is there stays, and what was cut goes on where it ended: call it again."""
    with connect() as client:
        found = client.snapshots.find(snapshot, version=version)
        with progress_bar(quiet=quiet) as progress:
            places = client.snapshots.download(found.id, to, format=format, progress=progress)
    for place in places:
        print(place)


@app.command("import")
def import_file(
    file: Path,
    format: Annotated[str, typer.Option("--format", help="hh-rlhf, native, label-studio, …")],  # noqa: A002
    batch: Annotated[
        str | None, typer.Option(help="Number of a week, or new; without it the open one.", metavar="NUMBER")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    ties: Annotated[str | None, typer.Option(help="Votes for neither: skip or unsure.")] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Leave bad rows out.")] = False,
    mapping: Annotated[str | None, typer.Option(help="What the rows do not say, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a file of judgments or prompts: all of it is stored, or nothing."""
    with connect() as client:
        report = client.imports.create(
            file,
            format=format,
            batch="new" if batch == "new" else _number(batch),
            dry_run=dry_run,
            ties=ties,
            skip_invalid=skip_invalid or None,
            mapping=None if mapping is None else _object(mapping, "--mapping"),
        )
    show_one(report, as_json=as_json)


@app.command()
def score(
    model: Annotated[int, typer.Argument(help="Id of the reward model.")],
    file: Annotated[
        typer.FileText,
        typer.Argument(help="JSON Lines of prompt (or messages) and responses; `-`: standard input."),
    ],
) -> None:
    """Rewards of responses, one line of JSON for each line that came."""
    items = [_object(line, f"Line {number}") for number, line in enumerate(file, 1) if line.strip()]
    with connect() as client:
        for rewards in client.reward_models.score(model, items):
            print_json({"rewards": rewards})


def _number(text: str | None) -> int | None:
    if text is not None and not text.isdecimal():
        refuse(f"--batch is {text!r}: give the number of a week, or new.")
    return None if text is None else int(text)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError as error:
        refuse(f"{where} is no JSON: {error}.")
    if not isinstance(read, dict):
        refuse(f"{where} is no object of JSON.")
    return read
