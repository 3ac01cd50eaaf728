"""What runs make, on machines without a common disk: copied to the shared storage, and fetched where it is wanted.

The setting MARGIN_STORE names the storage; empty: MARGIN_HOME is common to all machines, and nothing is copied.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from annotation.errors import NotFoundError
from rewardmodel.core.files import ManifestError
from training.core.store import Alive, StoreError, open_store
from training.models import Run


def store_output(run: Run, *, alive: Alive) -> None:
    """Copy what a run made; call it before a row says that it is there. `alive` as in `Store.put`.

    Raises:
        StoreError: the storage cannot be opened.
    """
    output = run.folder / "output"
    if settings.MARGIN_STORE and output.is_dir() and any(output.iterdir()):
        name = output.relative_to(settings.MARGIN_HOME).as_posix()
        open_store(settings.MARGIN_STORE).put(output, name, alive)


def ensure_here(path: str) -> Path:
    """The absolute place of a folder below MARGIN_HOME, fetched from the shared storage where it is not here.

    Raises:
        NotFoundError: it is neither here nor there, or what is there is damaged.
    """
    place = Path(settings.MARGIN_HOME) / path
    if place.is_dir():
        return place
    if not settings.MARGIN_STORE:
        raise NotFoundError(f"{path} is missing below {settings.MARGIN_HOME}. Restore it from a backup.")
    try:
        open_store(settings.MARGIN_STORE).fetch(path, place)
    except (StoreError, ManifestError, OSError) as error:
        raise NotFoundError(
            f"{path} is missing below {settings.MARGIN_HOME}, and could not be fetched: {error}"
        ) from error
    return place
