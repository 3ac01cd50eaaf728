"""The command `margin`: the client for people and scripts.

The library typer is optional: whoever uses only the client need not have it.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script."""
    try:
        from margin_client.command.app import app  # noqa: PLC0415  without typer only this sentence
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command needs the package typer: pip install 'margin-client[cli]'.")
    app()
