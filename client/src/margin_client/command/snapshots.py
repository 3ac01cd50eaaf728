"""`margin snapshots`."""

from __future__ import annotations

from typing import Annotated

import typer

from margin_client.command.context import AsJson, connect, show, show_one

COLUMNS = ("id", "name", "version", "state", "rows", "created_at")
Named = Annotated[str, typer.Argument(help="Id or name.", metavar="SNAPSHOT")]

app = typer.Typer(help="Frozen datasets.", no_args_is_help=True)


@app.command("list")
def list_snapshots(
    state: Annotated[str | None, typer.Option(help="waiting, writing, ready, failed or withdrawn.")] = None,
    name: Annotated[str | None, typer.Option(help="Only versions of this name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every snapshot, the newest first."""
    with connect() as client:
        show(client.snapshots.list(state=state, name=name), COLUMNS, as_json=as_json)


@app.command("show")
def show_snapshot(snapshot: Named, as_json: AsJson = False) -> None:
    """One snapshot."""
    with connect() as client:
        show_one(client.snapshots.find(snapshot), as_json=as_json)


@app.command()
def create(
    name: Annotated[str | None, typer.Option(help="Without one it is named after its weeks.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Number of a sealed week; again for more.")] = None,
    up_to: Annotated[int | None, typer.Option(help="Every sealed week up to this one.")] = None,
    focus: Annotated[list[str] | None, typer.Option(help="helpfulness or safety.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Code of a language, such as en.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Topic or risk category.")] = None,
    min_agreement: Annotated[float | None, typer.Option(help="Least share of votes that agree.")] = None,
    min_judgments: Annotated[int | None, typer.Option(help="Least number of votes.")] = None,
    aggregation: Annotated[str | None, typer.Option(help="How several judgments become a row.")] = None,
    margin_table: Annotated[str | None, typer.Option(help="none, small or large.")] = None,
    format: Annotated[list[str] | None, typer.Option("--format", help="Further format.")] = None,  # noqa: A002
    wait: Annotated[bool, typer.Option(help="Until it is ready.")] = True,
    as_json: AsJson = False,
) -> None:
    """Have a snapshot written; the same recipe is written once."""
    with connect() as client:
        made = client.snapshots.create(
            name=name,
            batches=batch or (),
            up_to=up_to,
            focuses=focus or (),
            languages=language or (),
            categories=category or (),
            min_agreement=min_agreement,
            min_judgments=min_judgments,
            aggregation=aggregation,
            margin_table=margin_table,
            formats=format or (),
            wait=wait,
        )
    show_one(made, as_json=as_json)


@app.command()
def diff(older: Named, newer: Named, as_json: AsJson = False) -> None:
    """What the newer one has that the older one lacks, what it lacks, and what differs."""
    with connect() as client:
        first, second = client.snapshots.find(older), client.snapshots.find(newer)
        show_one(client.snapshots.changes(second.id, since=first.id), as_json=as_json)


@app.command()
def withdraw(
    snapshot: Named,
    reason: Annotated[str, typer.Option(help="Why; the new version carries it.")],
    annotator: Annotated[list[str] | None, typer.Option(help="Pseudonym; again for more.")] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="Key of a prompt; again for more.")] = None,
    wait: Annotated[bool, typer.Option(help="Until the new version is ready.")] = True,
    as_json: AsJson = False,
) -> None:
    """A new version without what these people said or these prompts; the old one gives out no files any more."""
    with connect() as client:
        found = client.snapshots.find(snapshot)
        made = client.snapshots.withdraw(
            found.id, reason=reason, annotators=annotator or (), prompts=prompt or (), wait=wait
        )
    show_one(made, as_json=as_json)
