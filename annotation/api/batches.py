"""Batches: the weeks. Listed, read, planned, opened, sealed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from django.db.models import QuerySet
from pydantic import AwareDatetime, Field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import batch_for, batches_for, guideline_for, require_role
from annotation.api.bodies import Body
from annotation.api.kit import filters
from annotation.api.kit.bodies import read, well_formed
from annotation.api.kit.filters import LARGEST, Filter
from annotation.api.kit.rows import GuidelineName
from annotation.api.kit.schema import operation
from annotation.api.kit.views import ApiView, Collection, Item
from annotation.core.attention import HIGHEST_RATE
from annotation.core.grades import Focus
from annotation.core.plan import HOTTEST
from annotation.core.scopes import Scope
from annotation.core.states import BatchState
from annotation.errors import InvalidPlanError
from annotation.models import Batch, Guideline, Role
from annotation.queries import batch_progress
from annotation.services.batches import Offer, create_batch, open_batch, seal_batch

EXAMPLE: Final[dict[str, Any]] = {
    "number": 3,
    "name": "Week 3",
    "state": "open",
    "overlap": 2,
    "holdout": 1000,
    "seed": 2,
    "turn_limit": 4,
    "daily_target": 60,
    "shows_agreement": True,
    "time_zone": "Europe/Berlin",
    "opens_at": "2026-01-05T08:00:00Z",
    "seals_at": "2026-01-12T08:00:00Z",
    "target": 5000,
    "person_quota": 0,
    "needs_certificate": False,
    "gold_rate": 0.05,
    "gold_feedback": False,
    "guidelines": [{"focus": "helpfulness", "version": 2}],
    "plan": {},
    "opened_at": "2026-01-05T08:00:03Z",
    "sealed_at": None,
    "created_at": "2026-01-02T16:20:00Z",
}
COUNTS: Final = {"comparisons": 5000, "complete": 1210, "judgments": 3175}
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Weights = dict[Annotated[str, Field(max_length=200)], Annotated[float, Field(ge=0, le=1e6)]]


class BatchSerializer(serializers.ModelSerializer[Batch]):
    """One week; its number names it."""

    guidelines = GuidelineName(many=True, help_text="Versions meant; none: the newest ones.")
    plan = serializers.DictField(help_text="What is sampled for it; nothing said is the default.")

    class Meta:
        model = Batch
        fields = list(EXAMPLE)


class CountsSerializer(serializers.Serializer[Any]):
    """Ordinary pairs that were not withdrawn, and the judgments on them that count."""

    comparisons = serializers.IntegerField()
    complete = serializers.IntegerField()
    judgments = serializers.IntegerField()


class CountedBatchSerializer(BatchSerializer):
    """One week with its counts."""

    counts = serializers.SerializerMethodField()

    class Meta(BatchSerializer.Meta):
        fields = [*EXAMPLE, "counts"]

    def get_counts(self, row: Batch) -> CountsSerializer:
        return CountsSerializer(batch_progress(row)).data  # type: ignore[return-value]  # the hint is the schema's


class GuidelineBody(Body):
    focus: Focus
    version: Annotated[int, Field(ge=1, le=LARGEST)]


class MixBody(Body):
    """What a draw of prompts is made of; easy, middle and hard add up to 1."""

    easy: Share = 0.6
    middle: Share = 0.3
    hard: Share = 0.1
    turns: Annotated[int, Field(ge=1, le=100)] = 1
    safety_share: Share = 0.25
    topics: Weights = {}
    sources: Weights = {}


class SamplingBody(Body):
    """Whose answers, at which temperatures, to which prompts."""

    policies: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=20)] = []
    coolest: Annotated[float, Field(ge=0, le=HOTTEST)] = 0.7
    hottest: Annotated[float, Field(ge=0, le=HOTTEST)] = 1.0
    mix: MixBody = MixBody()


class BatchBody(Body):
    """The next week as it is planned. Nothing said is the default."""

    name: Annotated[str, Field(max_length=100)] = ""
    overlap: Annotated[int, Field(ge=1, le=100)] = 1
    holdout: Count = 1000
    seed: Count = 0
    turn_limit: Annotated[int, Field(ge=0, le=50)] = 4
    daily_target: Count = 0
    shows_agreement: bool = True
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    opens_at: AwareDatetime | None = None
    seals_at: AwareDatetime | None = None
    target: Count = 0
    person_quota: Count = 0
    needs_certificate: bool = False
    gold_rate: Annotated[float, Field(ge=0, le=HIGHEST_RATE)] = 0.0
    gold_feedback: bool = False
    guidelines: Annotated[list[GuidelineBody], Field(max_length=len(Focus))] = []
    plan: SamplingBody | None = None


class Batches(Collection):
    """List batches, the newest first."""

    name = "batches"
    role = Role.REVIEWER
    reads, writes = Scope.DATA_READ, Scope.DATA_WRITE
    serializer_class = BatchSerializer
    example = EXAMPLE
    ordering = "-number"
    filters: ClassVar[dict[str, Filter]] = {
        "state": filters.word("state", BatchState, "Planned, open or sealed.")
    }

    def rows(self) -> QuerySet[Batch]:
        return batches_for(self.person).prefetch_related("guidelines")

    @operation(
        body=BatchBody,
        body_example={"overlap": 2, "target": 5000, "time_zone": "Europe/Berlin"},
        answer=CountedBatchSerializer,
        status=201,
    )
    def create(self, request: Request) -> Response:
        """Plan the next batch. Without a name it is called after its number."""
        require_role(self.person, Role.RESEARCHER)
        body = read(request, BatchBody)
        with well_formed():
            batch = create_batch(**_plan(body), by=self.person)
        return Response(CountedBatchSerializer(batch).data, status=status.HTTP_201_CREATED)


class OneBatch(Item):
    """Read one batch, with its counts."""

    name = "batches"
    role = Role.REVIEWER
    reads = Scope.DATA_READ
    serializer_class = CountedBatchSerializer
    example = {**EXAMPLE, "counts": COUNTS}

    def row(self, **kwargs: Any) -> Batch:
        return batch_for(self.person, kwargs["number"])


class OpenBatch(ApiView):
    """Let annotators have the pairs of a batch."""

    name = "batches"
    writes = Scope.DATA_WRITE

    @operation("batches_open", answer=CountedBatchSerializer)
    def post(self, request: Request, number: int) -> Response:
        """Let annotators have the pairs of a planned batch. Takes no body."""
        batch = open_batch(batch=batch_for(self.person, number), by=self.person)
        return Response(CountedBatchSerializer(batch).data)


class SealBatch(ApiView):
    """Freeze a batch."""

    name = "batches"
    writes = Scope.DATA_WRITE

    @operation("batches_seal", answer=CountedBatchSerializer)
    def post(self, request: Request, number: int) -> Response:
        """Freeze an open batch: no judgment is taken any more, and its hold-out is drawn. Takes no body."""
        batch = seal_batch(batch=batch_for(self.person, number), by=self.person)
        return Response(CountedBatchSerializer(batch).data)


def _plan(body: BatchBody) -> dict[str, Any]:
    given = body.model_dump(exclude={"guidelines", "plan"})
    own = {name: given.pop(name) for name in ("name", "overlap", "holdout", "seed")}
    plan = {} if body.plan is None else body.plan.model_dump()
    return {
        **own,
        "offer": Offer(**given, plan=plan),
        "guidelines": [_guideline(one) for one in body.guidelines],
    }


def _guideline(named: GuidelineBody) -> Guideline:
    row = guideline_for(named.focus, named.version)
    if row is None:
        reason = f"There is no version {named.version} for {named.focus}."
        raise InvalidPlanError(reason, errors=[{"field": "guidelines", "reason": reason}])
    return row
