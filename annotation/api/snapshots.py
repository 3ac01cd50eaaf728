"""Snapshots: frozen datasets. Listed, asked for, read, given further formats, compared, withdrawn in part."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from django.db.models import QuerySet
from django.urls import reverse
from pydantic import Field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import snapshot_for, snapshots_for
from annotation.api.bodies import Body, Key
from annotation.api.kit import filters
from annotation.api.kit.bodies import read, well_formed
from annotation.api.kit.filters import Filter, Number
from annotation.api.kit.schema import operation, problems
from annotation.api.kit.views import ApiView, Collection, Item
from annotation.core.recipe import Recipe
from annotation.core.scopes import Scope
from annotation.core.states import SnapshotState
from annotation.models import Batch, Snapshot, SnapshotFile
from annotation.services.snapshots import add_formats, request_snapshot, withdraw_rows
from annotation.snapshots import changes_between, summary_of

BODY_LIMIT: Final = 2 * 2**20  # bytes: a recipe may leave out thousands of prompts

FILE_EXAMPLE: Final[dict[str, Any]] = {
    "path": "data/train.jsonl",
    "format": "native",
    "split": "train",
    "media_type": "application/x-ndjson",
    "bytes": 5_421_880,
    "rows": 4_480,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "url": "https://margin.example/api/v1/snapshots/7/files/data/train.jsonl",
}
EXAMPLE: Final[dict[str, Any]] = {
    "id": 7,
    "name": "Week 3 small",
    "version": 1,
    "state": "ready",
    "parent": None,
    "replaced_by": None,
    "reason": "",
    "recipe": Recipe(batches=(1, 2, 3)).to_json(),
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "rows": 4_978,
    "counts": {"split: train": 4_480, "split: test": 498},
    "margin_table": "small",
    "aggregation": "majority/1",
    "batches": [1, 2, 3],
    "formats": ["trl-preference"],
    "error": "",
    "created_at": "2026-01-19T09:30:00Z",
    "written_at": "2026-01-19T09:30:04Z",
}
CHANGES_EXAMPLE: Final[dict[str, Any]] = {
    "snapshot": 8,
    "since": 7,
    "added": 0,
    "changed": 1,
    "dropped": 12,
    "first": {
        "added": [],
        "changed": [{"id": "d3b07384d113edec49eaa6238ad5ff00", "split": "train", "fields": ["weight"]}],
        "dropped": [{"id": "acbd18db4cc2f85cedef654fccc4a4d8", "split": "test", "fields": []}],
    },
}


class FileSerializer(serializers.ModelSerializer[SnapshotFile]):
    """One file; `format` is empty for the card, the manifest and the plots."""

    url = serializers.SerializerMethodField(help_text="Where it is downloaded, whole or in parts.")

    class Meta:
        model = SnapshotFile
        fields = list(FILE_EXAMPLE)

    def get_url(self, file: SnapshotFile) -> str:
        place: str = reverse("api:snapshot-file", args=(file.snapshot_id, file.path))
        request = self.context.get("request")
        return request.build_absolute_uri(place) if request is not None else place


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    """What a snapshot holds; `counts` are rows by split, focus, grade and label, and what was left out."""

    batches: serializers.SlugRelatedField[Batch] = serializers.SlugRelatedField(
        many=True, read_only=True, slug_field="number", help_text="Numbers of its weeks."
    )
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    recipe = serializers.DictField(read_only=True, help_text="What was asked for.")
    formats = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="Further formats asked for."
    )
    replaced_by = serializers.SerializerMethodField(help_text="The version that took its place.")

    class Meta:
        model = Snapshot
        fields = list(EXAMPLE)

    def get_replaced_by(self, row: Snapshot) -> int | None:
        newer: Snapshot | None = getattr(row, "replaced_by", None)
        return None if newer is None else newer.pk


class WholeSnapshotSerializer(SnapshotSerializer):
    """A snapshot with its files."""

    files = FileSerializer(many=True, read_only=True)

    class Meta(SnapshotSerializer.Meta):
        fields = [*EXAMPLE, "files"]


class ChangeSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The row's id.")
    split = serializers.CharField()
    fields = serializers.ListField(child=serializers.CharField(), help_text="What differs.")  # type: ignore[assignment]


class FirstSerializer(serializers.Serializer[Any]):
    added = ChangeSerializer(many=True)
    changed = ChangeSerializer(many=True)
    dropped = ChangeSerializer(many=True)


class ChangesSerializer(serializers.Serializer[Any]):
    """How many rows differ; `first` names up to 100 of each kind."""

    snapshot = serializers.IntegerField()
    since = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    dropped = serializers.IntegerField()
    first = FirstSerializer()


Word = Annotated[str, Field(min_length=1, max_length=100)]
Formats = Annotated[list[Word], Field(max_length=100)]


class SnapshotBody(Body):
    """What is to be written. Without a name it is called after its last week; an empty recipe takes all sealed ones."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""
    formats: Formats = []
    recipe: Recipe = Recipe()


class FormatsBody(Body):
    """Further formats of the same rows."""

    formats: Annotated[list[Word], Field(min_length=1, max_length=100)]


class WithdrawalBody(Body):
    """Whose judgments go (pseudonyms), or which prompts (keys), and why."""

    annotators: Annotated[list[Word], Field(max_length=10_000)] = []
    prompts: Annotated[list[Key], Field(max_length=10_000)] = []
    reason: Annotated[str, Field(min_length=1, max_length=2_000)]


def _rows(view: ApiView) -> QuerySet[Snapshot]:
    return snapshots_for(view.person).select_related("replaced_by").prefetch_related("batches", "files")


def _accepted(view: ApiView, request: Request, snapshot: Snapshot) -> Response:
    """202 with where to look; a worker does it."""
    row = _rows(view).get(pk=snapshot.pk)
    place = request.build_absolute_uri(reverse("api:snapshot", args=(row.pk,)))
    data = WholeSnapshotSerializer(row, context={"request": request}).data
    return Response(data, status=status.HTTP_202_ACCEPTED, headers={"Location": place})


class Snapshots(Collection):
    """List snapshots, the newest first."""

    name = "snapshots"
    reads, writes = Scope.SNAPSHOTS_READ, Scope.SNAPSHOTS_WRITE
    serializer_class = SnapshotSerializer
    example = EXAMPLE
    filters: ClassVar[dict[str, Filter]] = {
        "state": filters.word("state", SnapshotState, "Waiting, writing, ready, failed or withdrawn."),
        "name": filters.text("name", "Of this very name."),
        "version": filters.number("version", "Of this version."),
    }

    def rows(self) -> QuerySet[Snapshot]:
        return snapshots_for(self.person).select_related("replaced_by").prefetch_related("batches")

    @operation(
        body=SnapshotBody,
        body_example={"recipe": {"up_to": 3, "focuses": ["helpfulness"]}, "formats": ["trl-preference"]},
        answer=WholeSnapshotSerializer,
        status=202,
        more=problems(410),
    )
    def create(self, request: Request) -> Response:
        """Ask for a snapshot; a worker writes it. The same recipe is written once: asked for again, it is named."""
        body = read(request, SnapshotBody, limit=BODY_LIMIT)
        with well_formed():
            snapshot = request_snapshot(
                recipe=body.recipe, name=body.name.strip(), formats=body.formats, by=self.person
            )
        return _accepted(self, request, snapshot)


class OneSnapshot(Item):
    """Read one snapshot, with its files."""

    name = "snapshots"
    reads = Scope.SNAPSHOTS_READ
    serializer_class = WholeSnapshotSerializer
    example = {**EXAMPLE, "files": [FILE_EXAMPLE]}

    def row(self, **kwargs: Any) -> Snapshot:
        return snapshot_for(self.person, kwargs["pk"])


class SnapshotFormats(ApiView):
    """Ask for further formats."""

    name = "snapshots"
    writes = Scope.SNAPSHOTS_WRITE

    @operation(
        "snapshots_formats",
        body=FormatsBody,
        body_example={"formats": ["trl-preference", "judgments"]},
        answer=WholeSnapshotSerializer,
        status=202,
        more=problems(410),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask for further formats of the same rows. Their files appear in the list of files once they are written."""
        snapshot = snapshot_for(self.person, pk)
        body = read(request, FormatsBody)
        with well_formed():
            snapshot = add_formats(snapshot=snapshot, formats=body.formats, by=self.person)
        return _accepted(self, request, snapshot)


class SnapshotWithdrawals(ApiView):
    """Withdraw rows."""

    name = "snapshots"
    writes = Scope.SNAPSHOTS_WRITE

    @operation(
        "snapshots_withdraw",
        body=WithdrawalBody,
        body_example={"annotators": ["annotator-3f9a1c0b2d"], "reason": "Asked to be left out."},
        answer=WholeSnapshotSerializer,
        status=202,
        more=problems(410),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Make a new version without some rows. From then on the old one's files are answered with 410."""
        snapshot = snapshot_for(self.person, pk)
        body = read(request, WithdrawalBody, limit=BODY_LIMIT)
        with well_formed():
            new = withdraw_rows(
                snapshot=snapshot,
                annotators=body.annotators,
                prompts=body.prompts,
                reason=body.reason,
                by=self.person,
            )
        return _accepted(self, request, new)


class SnapshotChanges(ApiView):
    """Compare two snapshots."""

    name = "snapshots"
    reads = Scope.SNAPSHOTS_READ
    parameters: ClassVar[dict[str, Filter]] = {
        "since": Filter(
            apply=lambda rows, value: rows,
            kind=Number(),
            description="The id of the older snapshot.",
            required=True,
        )
    }

    @operation(
        "snapshots_changes", answer=ChangesSerializer, answer_example=CHANGES_EXAMPLE, more=problems(409)
    )
    def get(self, request: Request, pk: int) -> Response:
        """How the rows of this snapshot differ from those of another: added, changed, dropped."""
        newer = snapshot_for(self.person, pk)
        older = snapshot_for(self.person, self.given["since"])
        found = summary_of(changes_between(older, newer))
        first = {
            kind: [{"id": one.id, "split": one.split, "fields": list(one.fields)} for one in changes]
            for kind, changes in found.first.items()
        }
        counts = {"added": found.added, "changed": found.changed, "dropped": found.dropped}
        return Response({"snapshot": newer.pk, "since": older.pk, **counts, "first": first})
