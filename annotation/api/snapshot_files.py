"""The files of snapshots, whole or from where a cut download ended."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.utils.text import slugify
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from annotation.access import snapshot_for
from annotation.api.kit.schema import operation, problems
from annotation.api.kit.views import ApiView
from annotation.api.ranges import Download, answer
from annotation.core.scopes import Scope
from annotation.models import Snapshot, SnapshotFile
from annotation.snapshots import file_of, open_file


class SnapshotFileContent(ApiView):
    """Download a file."""

    name = "snapshots"
    reads = Scope.SNAPSHOTS_READ

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """A file is what it is, whatever the client would rather have."""
        return super().perform_content_negotiation(request, force=True)

    @operation(
        "snapshots_file",
        more={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            304: None,
            **problems(404, 409, 410, 416),
        },
    )
    def get(self, request: Request, pk: int, path: str) -> HttpResponseBase:
        """Download a file. Its ETag is its SHA-256; Range and If-Range take up a download that was cut."""
        snapshot = snapshot_for(self.person, pk)
        file = file_of(snapshot, path)
        download = Download(file.bytes, file.sha256, file.media_type, _name(snapshot, file))
        return answer(request._request, download, lambda: open_file(snapshot, file))


def _name(snapshot: Snapshot, file: SnapshotFile) -> str:
    """Of plain characters alone, as it stands in a header and becomes a name on somebody's disk."""
    stem, _, suffix = file.path.rpartition("/")[2].partition(".")
    words = [str(snapshot), file.format if file.path.startswith("formats/") else "", stem]
    return f"{'-'.join(filter(None, map(slugify, words))) or 'snapshot'}.{slugify(suffix) or 'txt'}"
