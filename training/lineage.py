"""Where a policy comes from, and what a judgment has shaped: everything that lies behind or before a row.

What counts is learning: a snapshot shapes the reward models trained on it, a reward model the targets it chose and the
policies it rewarded, a policy those that learnt from its answers or started from its weights. That people were shown a
policy's answers makes no link, since what they said is their own; the runs that sampled those answers are named.

The whole graph is read in a fixed number of queries and walked here; the rows' long columns stay where they are. Must
not know who asks: `training.access` and `annotation.access` decide that before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KT

from annotation.core.recipe import Recipe
from annotation.core.states import ComparisonState
from annotation.models import Judgment, Prompt, Snapshot
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.models import PolicyVersion, Run

Node = tuple[str, int]

RUN: Final = "run"
POLICY: Final = "policy"
REWARD_MODEL: Final = "reward model"
SNAPSHOT: Final = "snapshot"
# The kinds of run that make something to learn with, and what each of their inputs names.
MAKING: Final = (
    RunKind.IMPORT_POLICY,
    RunKind.TRAIN_REWARD_MODEL,
    RunKind.REJECTION_SAMPLE,
    RunKind.FINETUNE,
    RunKind.PPO,
    RunKind.GATT,
    RunKind.DISTILL,
    RunKind.SELF_CHAT,
)
INPUTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "snapshot": SNAPSHOT,
        "backbone": POLICY,
        "base": POLICY,
        "policy": POLICY,
        "helpfulness": REWARD_MODEL,
        "safety": REWARD_MODEL,
        "selections": RUN,
        "targets": RUN,
        "rounds": RUN,
    }
)


@dataclass(frozen=True, slots=True)
class RunNamed:
    pk: int
    uid: str
    kind: str
    name: str  # of what it made; empty: nothing that has a name


@dataclass(frozen=True, slots=True)
class Named:
    pk: int
    name: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """What was found, the oldest first."""

    runs: list[RunNamed]
    policies: list[Named]
    reward_models: list[Named]
    snapshots: list[Named]
    batches: list[Named]  # `pk` is the week's number
    judgments: int = 0


@dataclass(slots=True)
class _Graph:
    """What each thing was made of."""

    made_of: dict[Node, set[Node]] = field(default_factory=dict)
    runs: dict[int, RunNamed] = field(default_factory=dict)
    policies: dict[int, Named] = field(default_factory=dict)
    reward_models: dict[int, Named] = field(default_factory=dict)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    weeks: dict[int, dict[int, Named]] = field(default_factory=dict)  # of each snapshot by the batch's key

    def link(self, made: Node, *of: Node) -> None:
        self.made_of.setdefault(made, set()).update(of)

    def behind(self, node: Node) -> set[Node]:
        return _closure([node], self.made_of) - {node}

    def shaped_by(self, nodes: Iterable[Node]) -> set[Node]:
        into: dict[Node, set[Node]] = {}
        for made, of in self.made_of.items():
            for one in of:
                into.setdefault(one, set()).add(made)
        return _closure(nodes, into)

    def named(self, nodes: set[Node], *, judgments: int = 0) -> Lineage:
        snapshots = sorted(key for kind, key in nodes if kind == SNAPSHOT and key in self.snapshots)
        weeks = {week.pk: week for key in snapshots for week in self.weeks.get(key, {}).values()}
        return Lineage(
            runs=[self.runs[key] for kind, key in sorted(nodes) if kind == RUN and key in self.runs],
            policies=[
                self.policies[key] for kind, key in sorted(nodes) if kind == POLICY and key in self.policies
            ],
            reward_models=[
                self.reward_models[key]
                for kind, key in sorted(nodes)
                if kind == REWARD_MODEL and key in self.reward_models
            ],
            snapshots=[Named(key, str(self.snapshots[key])) for key in snapshots],
            batches=[weeks[number] for number in sorted(weeks)],
            judgments=judgments,
        )


def _closure(start: Iterable[Node], edges: Mapping[Node, set[Node]]) -> set[Node]:
    found = set(start)
    left = list(found)
    while left:
        new = edges.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def policy_lineage(policy: PolicyVersion) -> Lineage:
    """Every run, policy, reward model, snapshot and week behind a policy, and how many judgments they hold."""
    graph = _read()
    nodes = graph.behind((POLICY, policy.pk))
    judgments = _judgments_of(graph, nodes).count()
    weeks = {key for kind, pk in nodes if kind == SNAPSHOT for key in graph.weeks.get(pk, {})}
    sampled = _sampling(weeks)
    graph.runs.update(sampled)
    return graph.named(nodes | {(RUN, pk) for pk in sampled}, judgments=judgments)


def judgments_behind(policy: PolicyVersion) -> QuerySet[Judgment]:
    """The judgments that its reward models and their predecessors learnt from, each once."""
    graph = _read()
    return _judgments_of(graph, graph.behind((POLICY, policy.pk)))


def judgment_lineage(judgment: Judgment) -> Lineage:
    """Every snapshot that holds a judgment, and all that was made of them; nothing for one that does not count."""
    graph = _read()
    of = _Facts.of(judgment)
    holding = [
        key
        for key, snapshot in graph.snapshots.items()
        if of.batch in graph.weeks.get(key, {}) and of.taken_by(_recipe(snapshot))
    ]
    return graph.named(graph.shaped_by((SNAPSHOT, key) for key in holding), judgments=1 if holding else 0)


def _read() -> _Graph:
    graph = _Graph()
    _read_runs(graph)
    by_uid = {run.uid: pk for pk, run in graph.runs.items()}
    policies = PolicyVersion.objects.values_list("pk", "name", "run", "parent_id", "adapter_on_id")
    for pk, name, uid, parent, adapter_on in policies:
        graph.policies[pk] = Named(pk, name)
        of = [(POLICY, key) for key in filter(None, (parent, adapter_on))]
        graph.link((POLICY, pk), *of, *([(RUN, by_uid[uid])] if uid in by_uid else []))
    by_name = {named.name: pk for pk, named in graph.policies.items()}
    models = RewardModelVersion.objects.values_list("pk", "name", "run", "snapshot_id", "backbone")
    for pk, name, uid, snapshot, backbone in models:
        graph.reward_models[pk] = Named(pk, name)
        of = [(POLICY, by_name[backbone])] if backbone in by_name else []
        graph.link((REWARD_MODEL, pk), (SNAPSHOT, snapshot), *of)
        graph.link((REWARD_MODEL, pk), *([(RUN, by_uid[uid])] if uid in by_uid else []))
    wanted = Snapshot.objects.exclude(sha256="").only("name", "version", "recipe")
    graph.snapshots = {snapshot.pk: snapshot for snapshot in wanted}
    through = Snapshot.batches.through._default_manager
    for snapshot, batch, number, name in through.values_list(
        "snapshot_id", "batch_id", "batch__number", "batch__name"
    ):
        graph.weeks.setdefault(snapshot, {})[batch] = Named(number, name)
    return graph


def _read_runs(graph: _Graph) -> None:
    """The inputs that name rows alone: a run's prompts may be many thousands."""
    columns = {f"of_{name}": KT(f"inputs__{name}") for name in INPUTS}
    rows = Run.objects.filter(kind__in=MAKING).annotate(made=KT("inputs__name"), **columns)
    for row in rows.values("pk", "uid", "kind", "made", *columns):
        graph.runs[row["pk"]] = RunNamed(row["pk"], str(row["uid"]), row["kind"], row["made"] or "")
        for name, kind in INPUTS.items():
            graph.link((RUN, row["pk"]), *((kind, key) for key in _numbers(row[f"of_{name}"])))


def _numbers(value: str | int | None) -> list[int]:
    """Primary keys from an input, one or several: PostgreSQL gives its text, SQLite a number as a number."""
    read: Any = json.loads(value) if isinstance(value, str) else value
    return [key for key in (read if isinstance(read, list) else [read]) if isinstance(key, int)]


def _sampling(batches: set[int]) -> dict[int, RunNamed]:
    """The runs that sampled the pairs of these weeks."""
    rows = Run.objects.filter(kind=RunKind.SAMPLE, inputs__batch__in=sorted(batches))
    return {pk: RunNamed(pk, str(uid), RunKind.SAMPLE.value, "") for pk, uid in rows.values_list("pk", "uid")}


def _recipe(snapshot: Snapshot) -> Recipe:
    return Recipe.model_validate(snapshot.recipe or {})


def _judgments_of(graph: _Graph, nodes: set[Node]) -> QuerySet[Judgment]:
    conditions = [
        _taken(_recipe(graph.snapshots[key]), sorted(graph.weeks.get(key, {})))
        for kind, key in sorted(nodes)
        if kind == SNAPSHOT and key in graph.snapshots
    ]
    if not conditions:
        return Judgment.objects.none()
    return Judgment.objects.effective().filter(reduce(or_, conditions))


def _taken(recipe: Recipe, batches: list[int]) -> Q:
    """The judgments that a recipe takes of these weeks. How many have to agree leaves out pairs, and is not asked."""
    prompt = "comparison__dialogue__prompt__"
    found = Q(comparison__batch__in=batches, comparison__gold=None)
    found &= ~Q(comparison__state=ComparisonState.WITHDRAWN) & ~Q(**{f"{prompt}split": Prompt.Split.NEITHER})
    if recipe.focuses:
        found &= Q(comparison__focus__in=recipe.focuses)
    if recipe.languages:
        found &= Q(comparison__language__in=recipe.languages)
    if words := recipe.categories:
        found &= Q(**{f"{prompt}category__in": words}) | Q(**{f"{prompt}risk__in": words})
    if recipe.without_prompts:
        found &= ~Q(**{f"{prompt}key__in": recipe.without_prompts})
    if recipe.without_annotators:
        found &= ~Q(annotator__pseudonym__in=recipe.without_annotators)
    return found


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a recipe asks of one judgment."""

    counts: bool
    batch: int
    focus: str
    language: str
    words: frozenset[str]
    prompt: str
    person: str

    @classmethod
    def of(cls, judgment: Judgment) -> _Facts:
        rows = Judgment.objects.select_related("comparison__dialogue__prompt", "annotator")
        row = rows.get(pk=judgment.pk)
        pair, prompt = row.comparison, row.comparison.dialogue.prompt
        hidden = pair.gold_id is not None or pair.state == ComparisonState.WITHDRAWN
        return cls(
            counts=row.current and not row.retracted and not hidden and prompt.split != Prompt.Split.NEITHER,
            batch=pair.batch_id,
            focus=pair.focus,
            language=pair.language,
            words=frozenset({prompt.category, prompt.risk}),
            prompt=prompt.key,
            person=row.annotator.pseudonym,
        )

    def taken_by(self, recipe: Recipe) -> bool:
        """As `_taken`, of one row."""
        return (
            self.counts
            and (not recipe.focuses or self.focus in recipe.focuses)
            and (not recipe.languages or self.language in recipe.languages)
            and (not recipe.categories or bool(self.words & set(recipe.categories)))
            and self.prompt not in recipe.without_prompts
            and self.person not in recipe.without_annotators
        )
