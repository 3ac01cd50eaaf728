"""A reward model beside the current one, on the same test pairs: the figures that promotion asks for.

Knows how a stored model scores pairs, and that a kill loses one chunk at most. Must not know what the figures decide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from annotation.core.records import PreferenceRecord, canonical_json
from rewardmodel.core import scorer
from rewardmodel.core.evaluation.drift import drift
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.files import write_atomically
from rewardmodel.core.promotion import UNGRADED, Compared, compare
from rewardmodel.core.report import Reporter, RunFailedError

CHUNK: Final = 64  # pairs; so much scoring is lost by a kill
Device = Literal["auto", "cpu", "cuda"]


def against(
    reference: Mapping[str, Any],
    own: Sequence[ScoredPair],
    *,
    split: Literal["train", "test"],
    device: Device,
    work: Path,
    report: Reporter,
) -> dict[str, Any] | None:
    """What `compare` says of a trained model and the one of `reference`, with that one's `name` and `sha256`, and how
    far the rewards moved (`drift`) where there are test pairs.

    `reference` is as `scorer.load` takes it, with `sha256`; or `{"name", "gone"}`, where `gone` says why it cannot be
    opened. A model that cannot be scored with is worth a note and no failure: the training is done. None then.
    """
    name = reference["name"]
    if "gone" in reference:
        report.note(_without(name, reference["gone"]))
        return None
    tests = own if split == "test" else ()  # pairs that one of the two has learnt from would flatter it
    try:
        records = [pair.record for pair in tests]
        before = score_records(reference, records, device=device, work=work, report=report)
        moved = {"drift": drift(tests, before)} if before else {}
    except (RunFailedError, RuntimeError, OSError) as error:  # RuntimeError: memory, first of all
        report.note(_without(name, error))
        return None
    return {"name": name, "sha256": reference["sha256"], **compare_scored(tests, before), **moved}


def _without(name: str, why: object) -> str:
    return f"It is not compared with {name}, which was current: {why}"


def compare_scored(candidate: Sequence[ScoredPair], current: Sequence[ScoredPair]) -> dict[str, Any]:
    """`compare` on the same pairs, in the same order, as two models scored them."""
    return compare(
        Compared(new.record.grade or UNGRADED, new.record.prompt, new.credit, old.credit)
        for new, old in zip(candidate, current, strict=True)
    )


def score_records(
    reference: Mapping[str, Any],
    records: Sequence[PreferenceRecord],
    *,
    device: Device,
    work: Path,
    report: Reporter,
    tokens_per_batch: int | None = None,
) -> list[ScoredPair]:
    """Both responses of each record by a stored reward model. What a killed attempt left in `work`, a folder that these
    records and this model have for themselves, is not computed again.

    Raises:
        RunFailedError: the model cannot be opened, or gave no number for a pair.
    """
    work.mkdir(parents=True, exist_ok=True)
    model: scorer.Scorer | None = None
    scored: list[ScoredPair] = []
    for start in range(0, len(records), CHUNK):
        some = records[start : start + CHUNK]
        path = work / f"{start // CHUNK:06d}.json"
        if not path.exists():
            if model is None:  # not before there is something left to score
                model = scorer.load(reference, device=device, tokens_per_batch=tokens_per_batch)
            rewards = model.score([(record.messages, (record.chosen, record.rejected)) for record in some])
            if not all(math.isfinite(reward) for both in rewards for reward in both):
                raise RunFailedError(f"{reference['name']} gave no number for one of the test pairs.")
            write_atomically(path, canonical_json(rewards))
            report.check()
        stored = json.loads(path.read_bytes())
        scored += [ScoredPair(record, *both) for record, both in zip(some, stored, strict=True)]
        report.progress(len(scored), len(records), "pairs")
    return scored
