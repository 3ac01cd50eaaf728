"""The process that measures a reward model, a judge or both on a file: `python -m rewardmodel.core.evaluate_file --spec
spec.json`.

Knows the order of the work and what is written where. Must not know formats, figures, or how a reward is computed;
torch is imported only once there is something to rate. rewardmodel.core.child says how it is spoken to.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotation.core.grades import MarginTable
from annotation.core.records import Message, canonical_json
from rewardmodel.core import child
from rewardmodel.core.external import ExternalPair, Reading, read_pairs
from rewardmodel.core.external_report import Rating, figures, left_out
from rewardmodel.core.files import (
    MANIFEST,
    read_manifest,
    sha256_of,
    write_atomically,
    write_lines_atomically,
)
from rewardmodel.core.judge import Finding, Judged, counts_of, judge_pairs
from rewardmodel.core.judge_server import JudgeServer, JudgeSpec
from rewardmodel.core.report import Reporter, RunFailedError

KEY: Final = "judge_key"  # among the secrets
RESULT: Final = "evaluation.json"
PAIRS: Final = "pairs.jsonl"
RATED: Final = "rated"
TOGETHER: Final = 64  # responses to one dialogue in a chunk
NUMBERS: Final = {Finding.CHOSEN: (1.0, 0.0), Finding.REJECTED: (0.0, 1.0), Finding.DIFFER: (0.0, 0.0)}

Text = tuple[str, str]  # a dialogue's key and a response to it


class EvaluateSpec(BaseModel):
    """What is measured on which file. `out` keeps what was rated and the figures; a judge needs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path
    format: str
    mapping: dict[str, Any] | None = None
    limit: int | None = Field(None, ge=1)
    reward_model: dict[str, Any] | None = None
    judge: JudgeSpec | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tokens_per_batch: int | None = Field(None, ge=64)
    out: Path | None = None

    @model_validator(mode="after")
    def _somebody_reads(self) -> Self:
        if self.reward_model is None and self.judge is None:
            raise ValueError("name a reward model, a judge or both")
        if self.judge is not None and self.out is None:
            raise ValueError("a judge's answers are kept: name a folder for them")
        return self


def evaluate_file(spec: EvaluateSpec, *, key: str, report: Reporter) -> dict[str, Any]:
    """The document that the command prints, written to `out` too.

    Raises:
        RunFailedError: the file, the reward model or the judge cannot be used.
    """
    report.stage("read")
    reading = read_pairs(spec.file, form=spec.format, mapping=spec.mapping, limit=spec.limit)
    report.note(f"{len(reading.pairs):,} pairs to rate")
    unratable: list[dict[str, Any]] = []
    document: dict[str, Any] = {"file": _file(spec)}
    if spec.reward_model is not None:
        ratings, unratable = _rated(reading.pairs, _rewards(spec, reading.pairs, report))
        reader, table = _model(spec.reward_model)
        document |= {"reader": reader, **_figures(ratings, spec, unratable, table)}
        _write_pairs(spec, ratings)
    if spec.judge is not None:
        _judge(spec, spec.judge, document, reading, unratable, key, report)
    document["left_out"] = left_out(reading, unratable)
    if spec.out is not None:
        write_atomically(spec.out / RESULT, canonical_json(document) + "\n")
    return document


def _judge(
    spec: EvaluateSpec,
    judge: JudgeSpec,
    document: dict[str, Any],
    reading: Reading,
    unratable: list[dict[str, Any]],
    key: str,
    report: Reporter,
) -> None:
    """The judge's figures: beside the reward model's, or, where there is none, as the document's own."""
    assert spec.out is not None  # noqa: S101  the spec's validator
    server = JudgeServer(judge, key=key, folder=spec.out, report=report)
    judged = judge_pairs([pair.record for pair in reading.pairs], server)
    said = {"model": judge.model, "url": judge.url, **counts_of(judged)}
    pairs = list(zip(reading.pairs, judged, strict=True))
    ratings = [Rating(pair, *NUMBERS[one.finding]) for pair, one in pairs if one.finding in NUMBERS]
    why = [_unjudged(pair, one) for pair, one in pairs if one.finding not in NUMBERS]
    found = _figures(ratings, spec, why)
    if "reader" in document:
        document["judge"] = {**said, **found, "unratable": why}
        return
    unratable.extend(why)
    document |= {"reader": {"kind": "judge", "name": judge.model}, "judge": said, **found}
    _write_pairs(spec, ratings)


def _figures(
    ratings: Sequence[Rating],
    spec: EvaluateSpec,
    unratable: Sequence[Mapping[str, Any]],
    margin_table: MarginTable | None = None,
) -> dict[str, Any]:
    if not ratings:
        first = f"line {unratable[0]['line']}: {unratable[0]['reason']}" if unratable else "there is none"
        raise RunFailedError(f"No pair of {spec.file.name} can be rated; the first: {first}")
    return figures(ratings, spec.format, margin_table=margin_table)


def _unjudged(pair: ExternalPair, one: Judged) -> dict[str, Any]:
    if one.finding is Finding.REFUSED:
        return {"line": pair.line, "reason": f"the judge did not take it: {one.reason}"}
    return {"line": pair.line, "reason": "the judge's answer names neither response"}


def _rewards(spec: EvaluateSpec, pairs: Sequence[ExternalPair], report: Reporter) -> dict[Text, float | str]:
    """The reward of each response, or why it has none; all responses to a dialogue share its computation."""
    from rewardmodel.core.rating import chunks_of, identity_of, quieten, rate_kept  # noqa: PLC0415  torch: not for a judge
    from rewardmodel.core.scorer import load  # noqa: PLC0415  torch, as above

    assert spec.reward_model is not None  # noqa: S101  the caller's
    quieten()
    identity = identity_of(spec.reward_model)
    model = load(spec.reward_model, device=spec.device, tokens_per_batch=spec.tokens_per_batch)
    kept = None if spec.out is None else spec.out / RATED
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    groups = _groups(pairs)
    texts = iter([(name, text) for name, _, responses in groups for text in responses])
    total, found = sum(len(responses) for _, _, responses in groups), dict[Text, float | str]()
    report.stage("rate")
    for chunk in chunks_of((messages, responses) for _, messages, responses in groups):
        for rated in rate_kept(model, chunk, identity=identity, kept=kept):
            found |= {next(texts): reward for reward in rated}
        report.progress(len(found), total, "responses")
    return found


def _groups(pairs: Sequence[ExternalPair]) -> list[tuple[str, Sequence[Message], list[str]]]:
    """Each dialogue's key, messages and distinct responses, so many together as one may rate at once."""
    messages = {pair.record.dialogue: pair.record.messages for pair in pairs}
    texts: dict[str, dict[str, None]] = {name: {} for name in messages}
    for pair in pairs:
        texts[pair.record.dialogue] |= dict.fromkeys((pair.record.chosen, pair.record.rejected))
    return [
        (name, messages[name], list(responses)[start : start + TOGETHER])
        for name, responses in texts.items()
        for start in range(0, len(responses), TOGETHER)
    ]


def _rated(
    pairs: Sequence[ExternalPair], rewards: Mapping[Text, float | str]
) -> tuple[list[Rating], list[dict[str, Any]]]:
    """Pairs with both rewards, and the others by line and reason."""
    ratings, unratable = [], []
    for pair in pairs:
        record = pair.record
        chosen, rejected = (rewards[record.dialogue, text] for text in (record.chosen, record.rejected))
        if isinstance(chosen, str) or isinstance(rejected, str):
            side, reason = ("chosen", chosen) if isinstance(chosen, str) else ("rejected", rejected)
            unratable.append({"line": pair.line, "reason": f"{side}: {reason}"})
        else:
            ratings.append(Rating(pair, chosen, rejected))
    return ratings, unratable


def _model(reference: Mapping[str, Any]) -> tuple[dict[str, Any], MarginTable]:
    """What the document says of the reward model, and the margins that it was trained with."""
    manifest = read_manifest(Path(reference["path"]))
    said = {
        "kind": "reward_model",
        "name": reference["name"],
        "sha256": sha256_of(Path(reference["path"]) / MANIFEST),
        "focus": manifest["focus"],
        "recipe": manifest["recipe"],
    }
    return said, MarginTable(manifest["params"]["margin_table"])


def _file(spec: EvaluateSpec) -> dict[str, Any]:
    return {
        "name": spec.file.name,
        "sha256": sha256_of(spec.file),
        "format": spec.format,
        "mapping": spec.mapping,
        "limit": spec.limit,
    }


def _write_pairs(spec: EvaluateSpec, ratings: Sequence[Rating]) -> None:
    if spec.out is None:
        return
    spec.out.mkdir(parents=True, exist_ok=True)
    write_lines_atomically(
        spec.out / PAIRS,
        (
            canonical_json(
                {
                    "line": one.pair.line,
                    "subset": one.pair.subset,
                    "pair": one.pair.record.id,
                    "chosen": one.chosen,
                    "rejected": one.rejected,
                }
            )
            + "\n"
            for one in ratings
        ),
    )


def _work(spec: bytes, secrets: child.Secrets, report: Reporter) -> dict[str, Any]:
    return evaluate_file(EvaluateSpec.model_validate_json(spec), key=secrets.get(KEY, ""), report=report)


if __name__ == "__main__":
    sys.exit(child.run(sys.argv[1:], name="rewardmodel.core.evaluate_file", work=_work))
