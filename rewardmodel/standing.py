"""Where a version stands: whether it is current, what the figures say of it against the one that is, and why it waits.

Knows promotions, comparisons and the metrics of training. Decides nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from annotation.core.states import BatchState
from annotation.models import Batch, Snapshot
from rewardmodel.core.promotion import Verdict, judge, step_back
from rewardmodel.models import Promotion, RewardModelComparison, RewardModelVersion

HISTORY: Final = 50  # promotions that a page shows
TRAINING: Final = "training"
COMPARISON: Final = "comparison"


def newest_promotion(focus: str) -> Promotion | None:
    """The one that names the current version, in one query."""
    rows = Promotion.objects.filter(focus=focus).select_related("version", "previous", "by")
    return rows.order_by("-number").first()


def current_version(focus: str) -> RewardModelVersion | None:
    newest = newest_promotion(focus)
    return newest.version if newest else None


def promotions_of(focus: str) -> list[Promotion]:
    """The newest first."""
    rows = Promotion.objects.filter(focus=focus).select_related("version", "previous", "by")
    return list(rows.order_by("-number")[:HISTORY])


@dataclass(frozen=True)
class Evidence:
    """A version and another one on the same test pairs.

    Attributes:
        source: TRAINING where the version's own training compared them, COMPARISON where a later run did.
        left_out: weeks that were sealed when the snapshot was asked for and that it does not hold: the rule wants the
            test pairs of all weeks.
    """

    source: str
    run: str
    snapshot: Snapshot
    against: RewardModelVersion
    figures: Mapping[str, Any]
    left_out: tuple[str, ...]

    @cached_property
    def verdict(self) -> Verdict:
        return judge(self.figures)

    @property
    def passes(self) -> bool:
        return self.verdict.passes and not self.left_out

    def as_json(self) -> dict[str, Any]:
        """What is kept with a promotion."""
        return {
            "source": self.source,
            "run": self.run,
            "snapshot": str(self.snapshot),
            "against": {"name": self.against.name, "sha256": self.against.sha256},
            "passes": self.passes,
            "sentence": self.verdict.sentence,
            "left_out": list(self.left_out),
            "figures": dict(self.figures),
        }


def evidence_of(version: RewardModelVersion, against: RewardModelVersion) -> Evidence | None:
    """The newest comparison of the two that there is; that of the training where no run compared them since."""
    rows = RewardModelComparison.objects.filter(version=version, against=against).select_related("snapshot")
    later = rows.order_by("-pk").first()
    if later is not None:
        return _evidence(COMPARISON, later.run, later.snapshot, against, later.figures)
    figures = (version.metrics or {}).get("against")
    if not isinstance(figures, Mapping):
        return None
    if (figures.get("name"), figures.get("sha256")) != (against.name, against.sha256):
        return None  # another one was current when the training was queued
    return _evidence(TRAINING, version.run, version.snapshot, against, figures)


def _evidence(
    source: str, run: str, snapshot: Snapshot, against: RewardModelVersion, figures: Mapping[str, Any]
) -> Evidence:
    return Evidence(source, run, snapshot, against, figures, _left_out(snapshot))


def _left_out(snapshot: Snapshot) -> tuple[str, ...]:
    weeks = Batch.objects.filter(state=BatchState.SEALED, sealed_at__lte=snapshot.created_at, holdout__gt=0)
    return tuple(weeks.exclude(snapshots=snapshot).order_by("number").values_list("name", flat=True))


def why_not(current: RewardModelVersion, evidence: Evidence | None) -> str:
    """Why a version does not take the place of `current` by itself, and what to do."""
    if evidence is None:
        return (
            f"It was not compared with {current.name}, the current one, on the same test pairs. Compare the two; or "
            "promote it anyway and say why."
        )
    if not evidence.verdict.passes:
        return (
            f"{evidence.verdict.sentence} {current.name} stays current. Train another one, or promote this one anyway "
            "and say why."
        )
    return (
        f"The two were compared on {evidence.snapshot}, which leaves out {_listed(evidence.left_out)}. Compare them on "
        "a snapshot that holds all weeks; or promote this one anyway and say why."
    )


def _listed(names: tuple[str, ...]) -> str:
    few = names[:3]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(few) + more


@dataclass(frozen=True)
class Standing:
    """All that a page or the API says of it. `promotion` is the newest of the focus, which names the current one."""

    version: RewardModelVersion
    promotion: Promotion | None
    evidence: Evidence | None
    before: int | None = None  # primary key of what a roll-back of the current one leads to

    @property
    def can_roll_back(self) -> bool:
        return self.is_current and self.before is not None

    @property
    def is_current(self) -> bool:
        return self.promotion is not None and self.promotion.version_id == self.version.pk

    @property
    def current(self) -> RewardModelVersion | None:
        return self.promotion.version if self.promotion else None

    @property
    def rival(self) -> RewardModelVersion | None:
        """What the figures compare it with: the current one; of the current one what it replaced."""
        return self.promotion.previous if self.is_current and self.promotion else self.current

    @property
    def source(self) -> str:
        """Who compared the two; empty: nobody did."""
        return self.evidence.source if self.evidence else self._kept("source")

    @property
    def snapshot(self) -> str:
        """The name of the one on whose test pairs they were compared."""
        return str(self.evidence.snapshot) if self.evidence else self._kept("snapshot")

    def _kept(self, name: str) -> str:
        """What the current one's promotion rested on."""
        kept = self.promotion.evidence if self.is_current and self.promotion else {}
        return str(kept.get(name, ""))

    @property
    def passes(self) -> bool:
        """Whether it may be promoted by the rule."""
        if self.is_current:
            return False
        return self.current is None or (self.evidence is not None and self.evidence.passes)

    @property
    def figures(self) -> Mapping[str, Any] | None:
        """The comparison to show: with the current one, or of the current one as it was when it became so."""
        if self.evidence is not None:
            return self.evidence.figures
        if self.is_current and self.promotion is not None:
            kept: Mapping[str, Any] | None = self.promotion.evidence.get("figures")
            return kept
        return None

    @property
    def verdict(self) -> Verdict | None:
        return judge(self.figures) if self.figures else None

    @property
    def sentence(self) -> str:
        """Where it stands, why, and what to do."""
        if self.promotion is None or self.current is None:
            return f"No {self.version.focus} model is current yet. Promote this one to have it used."
        if self.is_current:
            return CURRENT[self.promotion.how]
        if self.evidence is not None and self.evidence.passes:
            return f"{self.evidence.verdict.sentence} It can take the place of {self.current.name}."
        return why_not(self.current, self.evidence)


CURRENT: Final[Mapping[str, str]] = {
    "first": "It is current: the first of its focus.",
    "rule": "It is current: it was not worse, beyond the interval, in any grade.",
    "override": "It is current because somebody decided so.",
    "rollback": "It is current again: a later one was rolled back.",
}


def version_before(focus: str) -> int | None:
    """Primary key of the version that a roll-back of the current one leads to."""
    rows = Promotion.objects.filter(focus=focus).order_by("number")
    return step_back(rows.values_list("how", "version_id"))


def standing_of(version: RewardModelVersion) -> Standing:
    """In three queries at most."""
    newest = newest_promotion(version.focus)
    if newest is not None and newest.version_id == version.pk:
        return Standing(version, newest, None, version_before(version.focus))
    if newest is None:
        return Standing(version, None, None)
    return Standing(version, newest, evidence_of(version, newest.version))
