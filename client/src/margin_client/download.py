"""Files on their way to disk: resumed after any cut, also by another process, and kept only when their hash is right.

Bytes go to `NAME.part`; `NAME.part.mark` says which file they are of. Both are left when the way is
cut for good, so that the next call goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import httpx

from margin_client.errors import DownloadError, ProblemError
from margin_client.steps import Steps, close, read, work
from margin_client.types import SnapshotFile
from margin_client.wire import Wire

Progress = Callable[[str, int, int], None]  # path of the file, bytes that are there, bytes of all


def place_of(folder: Path, path: str) -> Path:
    """Where a file goes. The server names it, so it must not lead out of the folder.

    Raises:
        DownloadError
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise DownloadError(
            f"The server named a file {path!r}, which leads out of {folder}. Nothing was written."
        )
    return folder.joinpath(*parts)


def fetch(
    wire: Wire, address: str, file: SnapshotFile, place: Path, progress: Progress | None
) -> Steps[Path]:
    """Bring one file to `place`, unless it is there already.

    Raises:
        DownloadError: what came does not have the promised hash.
        ProblemError, UnreachableError: it did not come; what is there stays for the next call.
    """
    if (yield from work(lambda: _is_there(place, file))):
        return place
    part = Part(place, file.sha256)
    failures = 0
    while part.size < file.bytes or not part.path.is_file():
        before = part.size
        try:
            yield from _receive(wire, address, file, part, progress)
        except (httpx.TransportError, ProblemError) as error:
            # A way that is cut again and again but brings bytes each time is no failure.
            failures = 0 if part.size > before else failures + 1
            if isinstance(error, ProblemError) and error.status == 416:
                part.drop()
            yield from wire.wait(failures, error)
    if (yield from work(lambda: hash_of(part.path))) != file.sha256:
        part.drop()
        raise DownloadError(f"{file.path} came with another hash than was promised. Nothing of it is kept.")
    return part.finish()


def _is_there(place: Path, file: SnapshotFile) -> bool:
    return place.is_file() and place.stat().st_size == file.bytes and hash_of(place) == file.sha256


def _receive(
    wire: Wire, address: str, file: SnapshotFile, part: Part, progress: Progress | None
) -> Steps[None]:
    """One answer, or as much of it as comes, behind what is there."""
    stream = yield from wire.open(address, {"Accept-Encoding": "identity", **part.conditions()})
    response = stream.response
    with part.writing(at_end=_goes_on(response, part.size), etag=response.headers.get("ETag", "")) as write:
        while piece := (yield from read(stream)):
            write(piece)
            if progress is not None:
                progress(file.path, part.size, file.bytes)
    yield from close(stream)
    if part.size < file.bytes:
        raise httpx.RemoteProtocolError("the answer ended early", request=response.request)


def _goes_on(response: httpx.Response, size: int) -> bool:
    """Whether the answer begins where our part ends; anything else is the file from its beginning."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
        f"bytes {size}-"
    )


class Part:
    """What is there of a file so far."""

    def __init__(self, place: Path, sha256: str) -> None:
        self.place = place
        self.sha256 = sha256
        self.path = place.with_name(f"{place.name}.part")
        self.mark = place.with_name(f"{place.name}.part.mark")
        self.etag = self._read_mark() if self.path.is_file() else ""
        self.size = self.path.stat().st_size if self.etag else 0
        place.parent.mkdir(parents=True, exist_ok=True)

    def _read_mark(self) -> str:
        """The ETag of the bytes that are there; empty where they are of another file than is wanted now."""
        sha256, _, etag = (self.mark.read_text() if self.mark.is_file() else "").partition("\n")
        return etag if sha256 == self.sha256 else ""

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the rest, or for all of it should it be another file by now (RFC 9110, 13.1.5)."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag} if self.size and self.etag else {}

    @contextmanager
    def writing(self, *, at_end: bool, etag: str) -> Iterator[Callable[[bytes], None]]:
        """A function that writes the next bytes; unbuffered, so that `size` is what would be found after a kill."""
        if not at_end:
            self.drop()
        with self.path.open("r+b" if at_end else "wb", buffering=0) as file:
            file.seek(self.size)
            if etag and not etag.startswith("W/"):
                self.mark.write_text(f"{self.sha256}\n{etag}")
                self.etag = etag

            def write(piece: bytes) -> None:
                view = memoryview(piece)
                while view:
                    written = file.write(view)
                    self.size += written
                    view = view[written:]

            yield write

    def finish(self) -> Path:
        self.mark.unlink(missing_ok=True)
        self.path.replace(self.place)
        return self.place

    def drop(self) -> None:
        self.size, self.etag = 0, ""
        self.mark.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
