"""Snapshots: ask for one, look at it, bring its files, load its rows, compare and withdraw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from margin_client.download import Progress, fetch, place_of
from margin_client.errors import MarginError, NotFoundError
from margin_client.loading import read_dataset, require_datasets
from margin_client.steps import Series, Steps, endpoint, feed, sleep, work
from margin_client.types import Changes, Snapshot, SnapshotFile
from margin_client.wire import D, Resource, Wire, at, given

if TYPE_CHECKING:
    from datasets import Dataset

WAITING: Final = frozenset({"waiting", "writing"})
LOOK: Final = 1.0  # seconds between two looks at a snapshot that is being written
NATIVE: Final = "native"


class Snapshots(Resource[D]):
    """Frozen datasets."""

    def __init__(self, wire: Wire, driver: D, cache: Path) -> None:
        super().__init__(wire, driver)
        self.cache = cache

    @feed
    def list(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
        state: str | None = None,
        fields: Sequence[str] = (),
    ) -> Series[Snapshot]:
        filters = given(name=name, version=version, state=state)
        return self.wire.pages("snapshots", Snapshot.of, {"fields": fields, **filters})

    @endpoint
    def get(self, snapshot: int, *, fields: Sequence[str] = ()) -> Steps[Snapshot]:
        response = yield from self.wire.ask("GET", at("snapshots", snapshot), params={"fields": fields})
        return Snapshot.of(response.json())

    @endpoint
    def create(
        self,
        *,
        name: str | None = None,
        formats: Sequence[str] = (),
        batches: Sequence[int] = (),
        up_to: int | None = None,
        focuses: Sequence[str] = (),
        languages: Sequence[str] = (),
        categories: Sequence[str] = (),
        min_agreement: float | None = None,
        min_judgments: int | None = None,
        aggregation: str | None = None,
        margin_table: str | None = None,
        margins: Mapping[str, float] | None = None,
        without_annotators: Sequence[str] = (),
        without_prompts: Sequence[str] = (),
        wait: bool = True,
    ) -> Steps[Snapshot]:
        """Have a snapshot written, or be given the one there is: the same recipe is written once. With `wait`, until it
        is ready.

        `batches` are numbers of sealed weeks, `up_to` is every one up to that; neither is all of them. `margins` are
        numbers by grade, for the `margin_table` own.

        Raises:
            MarginError: it could not be written; the text says why.
        """
        recipe = given(
            batches=[*batches] or None,
            up_to=up_to,
            focuses=[*focuses] or None,
            languages=[*languages] or None,
            categories=[*categories] or None,
            min_agreement=min_agreement,
            min_judgments=min_judgments,
            aggregation=aggregation,
            margin_table=margin_table,
            margins=None if margins is None else dict(margins),
            without_annotators=[*without_annotators] or None,
            without_prompts=[*without_prompts] or None,
        )
        body = given(name=name, formats=[*formats] or None, recipe=recipe)
        made = Snapshot.of((yield from self.wire.ask("POST", "snapshots", body=body)).json())
        return (yield from self._ready(made.id, formats)) if wait else made

    @endpoint
    def add_formats(self, snapshot: int, formats: Sequence[str], *, wait: bool = True) -> Steps[Snapshot]:
        """Have the rows written in further formats; the other files stay as they are."""
        return self._add_formats(snapshot, formats, wait=wait)

    @endpoint
    def withdraw(
        self,
        snapshot: int,
        *,
        reason: str,
        annotators: Sequence[str] = (),
        prompts: Sequence[str] = (),
        wait: bool = True,
    ) -> Steps[Snapshot]:
        """A new version without the rows of these people or prompts; the old one gives out no files any more."""
        body = {"reason": reason, "annotators": [*annotators], "prompts": [*prompts]}
        response = yield from self.wire.ask("POST", at("snapshots", snapshot, "withdrawals"), body=body)
        made = Snapshot.of(response.json())
        return (yield from self._ready(made.id)) if wait else made

    @endpoint
    def changes(self, snapshot: int, *, since: int) -> Steps[Changes]:
        """What it has that the snapshot `since` lacks, what it lacks, and what differs."""
        address = at("snapshots", snapshot, "changes")
        return Changes.of((yield from self.wire.ask("GET", address, params={"since": since})).json())

    @endpoint
    def find(self, name: str | int, *, version: int | None = None) -> Steps[Snapshot]:
        """The snapshot of this id or name; of a name the newest version that is ready, unless one is named.

        Raises:
            NotFoundError
        """
        return self._find(name, version)

    @endpoint
    def download(
        self,
        snapshot: int,
        folder: str | Path,
        *,
        format: str = NATIVE,  # noqa: A002  the API's word
        progress: Progress | None = None,
    ) -> Steps[Sequence[Path]]:
        """Bring the card, the manifest and the files of one format into `folder`; what is there already stays.

        A format that the snapshot lacks is written first. A way that is cut is taken up where it ended, by a later
        call too. `progress` is called with (path, bytes that are there, bytes of the file).

        Raises:
            DownloadError: a file came with another hash than was promised.
        """
        found = yield from self._with_format(snapshot, format)
        return (yield from self._fetch(found, _of_format(found, format, ""), Path(folder), progress))

    @endpoint
    def load(
        self,
        name: str | int,
        *,
        split: str = "train",
        format: str = NATIVE,  # noqa: A002  the API's word
        version: int | None = None,
        progress: Progress | None = None,
    ) -> Steps[Dataset]:
        """The rows of one split as a `datasets.Dataset`; what was brought once is read from the cache.

        Raises:
            MarginError: the package datasets is missing, or the snapshot has no such split.
        """
        require_datasets()
        found = yield from self._find(name, version)
        found = yield from self._with_format(found.id, format)
        # The rows of the native format also come as Parquet, which needs no second copy on disk.
        formats = ("parquet",) if format == NATIVE and _of_format(found, "parquet") else (format,)
        files = [file for file in _of_format(found, *formats) if file.split == split]
        if not files:
            splits = ", ".join(sorted({file.split for file in found.files if file.split}))
            raise MarginError(f"Snapshot {found.name} has no split {split!r}. It has: {splits or 'none'}.")
        house = self.cache / found.sha256
        places = yield from self._fetch(found, files, house, progress)
        return (yield from work(lambda: read_dataset(places, split=split, cache=house / "arrow")))

    def _fetch(
        self, found: Snapshot, files: Sequence[SnapshotFile], folder: Path, progress: Progress | None
    ) -> Steps[Sequence[Path]]:
        places = [place_of(folder, file.path) for file in files]
        for file, place in zip(files, places, strict=True):
            address = at("snapshots", found.id, "files", *file.path.split("/"))
            yield from fetch(self.wire, address, file, place, progress)
        return places

    def _find(self, name: str | int, version: int | None) -> Steps[Snapshot]:
        if isinstance(name, int) or name.isdecimal():
            return (yield from self._read(int(name)))
        rows, _ = yield from self.wire.page("snapshots", Snapshot.of, given(name=name, version=version))
        ready = [row for row in rows if row.state == "ready"]
        if ready:
            # The list may leave out what the page of one has.
            return (yield from self._read(max(ready, key=lambda row: row.version).id))
        states = ", ".join(f"version {row.version} is {row.state}" for row in rows)
        detail = f"No snapshot named {name!r} is ready" + (f": {states}." if states else ".")
        raise NotFoundError(detail, status=404, code="not-found")

    def _read(self, snapshot: int) -> Steps[Snapshot]:
        return Snapshot.of((yield from self.wire.ask("GET", at("snapshots", snapshot))).json())

    def _ready(self, snapshot: int, formats: Sequence[str] = ()) -> Steps[Snapshot]:
        """The snapshot once it is written, and these formats too.

        Raises:
            MarginError: it will not be; the text says why.
        """
        while (found := (yield from self._read(snapshot))).state in WAITING or _missing(found, formats):
            if found.state not in WAITING and not set(_missing(found, formats)) <= set(found.formats):
                raise MarginError(found.error or f"Snapshot {found.name} is {found.state}.")
            yield from sleep(LOOK)
        if found.state != "ready":
            raise MarginError(f"Snapshot {found.name} is {found.state}. {found.error}".strip())
        return found

    def _add_formats(self, snapshot: int, formats: Sequence[str], *, wait: bool) -> Steps[Snapshot]:
        address = at("snapshots", snapshot, "formats")
        asked = Snapshot.of((yield from self.wire.ask("POST", address, body={"formats": [*formats]})).json())
        return (yield from self._ready(snapshot, formats)) if wait else asked

    def _with_format(self, snapshot: int, format: str) -> Steps[Snapshot]:  # noqa: A002  the API's word
        found = yield from self._ready(snapshot)
        if not _of_format(found, format):
            found = yield from self._add_formats(snapshot, [format], wait=True)
        return found


def _of_format(snapshot: Snapshot, *formats: str) -> list[SnapshotFile]:
    return [file for file in snapshot.files if file.format in formats]


def _missing(snapshot: Snapshot, formats: Sequence[str]) -> list[str]:
    return [name for name in formats if not _of_format(snapshot, name)]
