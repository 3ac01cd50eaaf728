"""Imports: a file of judgments or prompts comes in as the body of a request. Never by an address to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from pydantic import ValidationError
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import batches_for
from annotation.api.import_answers import (
    EXAMPLE,
    FORMATS_EXAMPLE,
    FormatsAnswer,
    ImportAnswer,
    of_formats,
    of_judgments,
    of_prompts,
)
from annotation.api.kit.filters import Filter, Flag, Text, Word
from annotation.api.kit.schema import operation, problems
from annotation.api.kit.views import ApiView
from annotation.api.lean import field_errors
from annotation.api.problems import InvalidRequestError, MediaTypeError
from annotation.core.formats.base import TiePolicy
from annotation.core.formats.mappings import FocusMapping
from annotation.core.formats.prompt_sets import PROMPT_SETS
from annotation.core.formats.registry import FORMATS
from annotation.core.scopes import Scope
from annotation.errors import NotFoundError, TooLargeError
from annotation.models import Batch
from annotation.services.imports import NEW, DryRunError, Source, import_file, import_prompt_set, look_into
from annotation.services.prompts import PromptRehearsalError
from annotation.services.uploads import clean_name, passing_file

PIECE: Final = 64 * 1024
MULTIPART: Final = "multipart/form-data"
# Of the whole multipart body, beside the file itself.
FRAME: Final = 64 * 1024
LONGEST_MAPPING: Final = 20_000
MEDIA_TYPES: Final = (
    "application/x-ndjson",
    "application/jsonl",
    "application/json",
    "application/gzip",
    "application/vnd.apache.parquet",
    "application/octet-stream",
)


def _any(rows: Any, value: Any) -> Any:
    return rows  # a parameter of a POST narrows nothing


PARAMETERS: Final = {
    "format": Filter(
        apply=_any,
        kind=Word((*FORMATS, *PROMPT_SETS)),
        description="The format of the file; imports/formats describes each.",
        required=True,
    ),
    "batch": Filter(
        apply=_any,
        kind=Text(rf"({NEW}|[0-9]{{1,9}})", meant=f"the number of a batch, or {NEW}"),
        description=f"The number of the batch to import into; {NEW}: one of its own. Without it the open one, or a new "
        "one where none is open.",
    ),
    "dry_run": Filter(
        apply=_any, kind=Flag(), description="Check and report, store nothing.", default="false"
    ),
    "ties": Filter(
        apply=_any,
        kind=Word(("skip", "unsure")),
        description="What a vote for neither becomes: left out, or negligibly better for a side drawn by lot.",
        default="skip",
    ),
    "skip_invalid": Filter(
        apply=_any, kind=Flag(), description="Take the good rows, report the others.", default="false"
    ),
    "mapping": Filter(
        apply=_any,
        kind=Text(longest=LONGEST_MAPPING, meant=f"JSON of at most {LONGEST_MAPPING:,} characters"),
        description="What the rows do not say, as JSON: mapping_schema in imports/formats says which fields there are.",
    ),
    "name": Filter(apply=_any, kind=Text(), description="What the file is called, for the batch's history."),
}


class ImportFormats(ApiView):
    """What can be imported."""

    name = "import_formats"
    reads = Scope.DATA_READ

    @operation("import_formats_list", answer=FormatsAnswer, answer_example=FORMATS_EXAMPLE)
    def get(self, request: Request) -> Response:
        """Every format: what each field of a file becomes, and what has to be said beside the rows."""
        return Response(of_formats())


class ImportList(ApiView):
    """Files come in here."""

    name = "imports"
    writes = Scope.DATA_WRITE
    parameters = PARAMETERS

    @operation(
        "imports_create",
        body={
            **dict.fromkeys(MEDIA_TYPES, OpenApiTypes.BINARY),
            MULTIPART: {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
            },
        },
        answer=ImportAnswer,
        answer_example=EXAMPLE,
        status=201,
        more={200: ImportAnswer, **problems(404)},
    )
    def post(self, request: Request) -> Response:
        """Import a file: all of it, or nothing.

        The body is the file (JSON lines or a JSON array, plain or gzip, or Parquet), or a multipart form with one
        file. 201: stored; 200: a dry run. 422 lists the first 1,000 bad rows. The same file again adds nothing.
        """
        plain = request._request
        batch, new_batch = self._batch(), self.given.get("batch") == NEW
        name, pieces = _body(plain)
        with passing_file(pieces=pieces) as (path, _, _):
            source = Source(
                path=path,
                form=self.given["format"],
                name=clean_name(self.given.get("name") or name),
                ties=cast("TiePolicy", self.given["ties"]),
                max_file=settings.IMPORT_LIMIT,
            )
            source = replace(source, mapping=_mapping(source, self.given.get("mapping")))
            return self._import(source, batch, new_batch=new_batch)

    def _import(self, source: Source, batch: Batch | None, *, new_batch: bool) -> Response:
        options = {name: self.given[name] for name in ("dry_run", "skip_invalid")} | {"by": self.person}
        try:
            if source.form in PROMPT_SETS:
                prompts = import_prompt_set(source=source, **options)
                return Response(of_prompts(source, prompts, dry_run=False), status.HTTP_201_CREATED)
            into, report = import_file(source=source, batch=batch, new_batch=new_batch, **options)
        except DryRunError as rehearsal:
            return Response(of_judgments(source, None, rehearsal.report))
        except PromptRehearsalError as rehearsal:
            return Response(of_prompts(source, rehearsal.report, dry_run=True))
        return Response(of_judgments(source, into, report), status.HTTP_201_CREATED)

    def _batch(self) -> Batch | None:
        number = self.given.get("batch", NEW)
        if number == NEW:
            return None
        batch = batches_for(self.person).filter(number=min(int(number), 2**31 - 1)).first()
        if batch is None:
            raise NotFoundError(f"There is no batch {number}. Nothing was imported.")
        return batch


def _body(request: HttpRequest) -> tuple[str, Iterator[bytes]]:
    """The name of the file, if it has one, and its bytes as they come."""
    kind = (request.content_type or "").lower()
    length = request.headers.get("Content-Length", "")
    limit = settings.IMPORT_LIMIT + (FRAME if kind == MULTIPART else 0)
    if length.isdigit() and int(length) > limit:
        raise TooLargeError(f"The body is longer than {settings.IMPORT_LIMIT:,} bytes. Split it.")
    if kind == MULTIPART:
        return _form_file(request)
    if kind not in MEDIA_TYPES:
        raise MediaTypeError(f"Send the file as {', '.join(MEDIA_TYPES)}, or in a form as {MULTIPART}.")
    return "", iter(lambda: request.read(PIECE), b"")


def _form_file(request: HttpRequest) -> tuple[str, Iterator[bytes]]:
    files = [file for _, found in request.FILES.lists() for file in found]
    if len(files) != 1 or not isinstance(files[0], UploadedFile):
        raise InvalidRequestError(
            "The form must hold one file.",
            errors=[{"field": "file", "reason": f"{len(files)} files were sent."}],
        )
    return files[0].name or "", files[0].chunks(PIECE)


def _mapping(source: Source, text: str | None) -> FocusMapping | None:
    """What the request says, or what the format takes for granted.

    Raises:
        InvalidRequestError: it cannot be understood, is not taken, or is needed; then it says what it probably is.
    """
    form = PROMPT_SETS.get(source.form) or FORMATS[source.form]
    try:
        if form.shape is None:
            if text:
                raise _wrong("This format takes none: its rows say everything.")
            return None
        return form.shape.model_validate_json(text) if text else form.shape()
    except ValidationError as error:
        if text:
            reasons = "; ".join(f"{one['field']}: {one['reason']}" for one in field_errors(error))
            raise _wrong(reasons.removeprefix(": ")) from None
    guessed = look_into(path=source.path, form=source.form, max_file=source.max_file).mapping
    proposal = f" Probably: {guessed.model_dump_json(exclude_defaults=True)}" if guessed else ""
    raise _wrong(
        f"This format needs one: which fields and questions there are, and what answers mean.{proposal}"
    )


def _wrong(reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        "The mapping is not as it should be. Nothing was imported.",
        errors=[{"field": "mapping", "reason": reason}],
    )
