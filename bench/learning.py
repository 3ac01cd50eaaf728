"""`make bench-learning`: does a small frozen model know what people prefer better than words and length do?

Five-fold cross-validation on the sets in DATA. A group (first human turn, prompt, debate) is never on both sides of a
split. Contestants see the same folds:

- probe: the product's reward model of the recipe "probe" with the product's defaults;
- nested: the same, its height and penalty chosen within the training folds, so that no choice saw a tried pair;
- words: a bag of words, its kind and penalty chosen within the training folds too;
- length: the longer response, or the shorter where that is right more often in training.

Then, as exploration and marked so: every height, reading place and penalty, and a few ideas beside the defaults.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from bench.experiments.crossing import FOLDS, chosen_within, compared, described, repeated
from bench.experiments.folds import FloatArray
from bench.experiments.heights import encode, network_at
from bench.experiments.probes import (
    Method,
    bag_of_words,
    longer,
    probe,
    probe_of_components,
    probe_of_differences,
    together,
)
from bench.experiments.sets import SOURCES, PairSet, load_set, texts_of
from bench.models import ROOT, policy_of
from bench.record import RESULTS, machine, versions
from rewardmodel.core.backbone import (
    PolicyRef,
    backbone_of,
    fingerprint,
    load_causal_lm,
    load_tokenizer,
)
from rewardmodel.core.network import RewardNetwork
from rewardmodel.core.rows import Row, RowEncoder
from rewardmodel.core.spec import TrainRewardModelSpec

DATA: Final = ROOT.parent / "shared" / "data"
CACHE: Final = ROOT / "var" / "bench" / "features"
DEFAULTS: Final = TrainRewardModelSpec.model_fields
HEIGHT: Final[float] = DEFAULTS["layer_fraction"].default
L2: Final[float] = DEFAULTS["l2"].default
MAX_LENGTH: Final[int] = DEFAULTS["max_length"].default
HEIGHTS: Final = tuple(sorted({0.4, 0.5, 0.6, 0.75, HEIGHT}))
ENDS: Final = (HEIGHTS[0], HEIGHTS[-1])
PENALTIES: Final = (0.1, 0.3, 1.0, 3.0, 10.0)
WORDS: Final = {  # what C is tried for each kind of vector, around where each does best
    "presence": (0.003, 0.03, 0.3),
    "counts": (0.001, 0.01, 0.1),
    "tf-idf": (0.03, 1.0, 10.0),
    "tf-idf, lengths kept": (0.0001, 0.0003, 0.003),
}
PLACES: Final = {"last": slice(0, 1), "mean": slice(1, 2), "last+mean": slice(0, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with the sets")
    parser.add_argument("--sets", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument(
        "--repeats", type=int, default=3, help="ways to fall into folds; each pair is tried as often"
    )
    parser.add_argument("--only-main", action="store_true", help="without the exploration")
    options = parser.parse_args()
    missing = [name for name in options.sets if not (options.data / SOURCES[name].file).is_file()]
    if missing:
        raise SystemExit(
            f"{options.data} lacks the files of {', '.join(missing)}: name their folder with --data"
        )
    ref = policy_of(options.model)
    sets: dict[str, Any] = {}
    for name in options.sets:
        sets[name] = _measure(load_set(name, options.data), ref, options)
        print(_lines(name, sets[name]), flush=True)
    print(_write(sets, options))


def _measure(found: PairSet, ref: PolicyRef, options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    kept, features = _encoded(found, ref, options.dtype)
    seconds = time.perf_counter() - started
    texts, groups = texts_of(kept.pairs), kept.groups
    methods, picked = _contestants(features, texts, groups)
    right = {
        # Choosing within the folds takes 75 fits a fold: once is enough for it.
        name: repeated(method, groups, 1 if name in picked else options.repeats)
        for name, method in methods.items()
    }
    measured: dict[str, Any] = {
        "title": SOURCES[found.name].title,
        "groups_are": SOURCES[found.name].groups,
        "counts": {**kept.counts, "groups": len(set(groups))},
        "encode_or_load_seconds": round(seconds, 1),
        "accuracy": {name: described(one, groups) for name, one in right.items()},
        "probe_less": {name: compared(right["probe"], right[name], groups) for name in ("words", "length")},
        "nested_less": {
            name: compared(right["nested"], right[name], groups) for name in ("probe", "words", "length")
        },
        "picked": {
            name: {pick: names.count(pick) for pick in sorted(set(names))} for name, names in picked.items()
        },
    }
    if not options.only_main:
        measured["grid"] = _grid(features, groups)
        measured["ideas_less_probe"] = _ideas(features, texts, groups, right["probe"][:1])
    return measured


def _encoded(found: PairSet, ref: PolicyRef, dtype: str) -> tuple[PairSet, Tensor]:
    """The pairs that fit, and features [rows, heights, 2, width]."""
    tokenizer = load_tokenizer(ref)
    encoder = RowEncoder(tokenizer, MAX_LENGTH)
    rows: list[Row] = []
    kept = []
    for pair in found.pairs:
        both = encoder.rows(pair.messages, (pair.chosen, pair.rejected))
        if max(len(row.tokens) for row in both) <= MAX_LENGTH:
            rows += both
            kept.append(pair)

    def build() -> RewardNetwork:
        backbone = backbone_of(load_causal_lm(ref, torch.device("cpu"), getattr(torch, dtype)))
        return network_at(backbone, HEIGHTS, int(tokenizer.pad_token_id))

    computes = f"{fingerprint(ref.path)}/{HEIGHTS}/{dtype}"
    features = encode(build, rows, heights=len(HEIGHTS), cache=CACHE, computes=computes)
    counts = {**found.counts, "too_long": len(found.pairs) - len(kept), "pairs": len(kept)}
    return PairSet(
        found.name, tuple(kept), {**counts, "tokens": sum(len(row.tokens) for row in rows)}
    ), features


def _at(features: Tensor, height: float, place: str = "last+mean") -> Tensor:
    return features[:, HEIGHTS.index(height), PLACES[place]].flatten(1)


def _contestants(
    features: Tensor, texts: Sequence[str], groups: Sequence[str]
) -> tuple[dict[str, Method], dict[str, list[str]]]:
    probes = {f"{h} / {l2}": probe(_at(features, h), l2) for h in HEIGHTS for l2 in PENALTIES}
    words = {
        f"{kind} / {c}": bag_of_words(texts, kind, c) for kind, penalties in WORDS.items() for c in penalties
    }
    nested, heights = chosen_within(probes, groups)
    bag, penalties = chosen_within(words, groups)
    methods = {
        "probe": probe(_at(features, HEIGHT), L2),
        "nested": nested,
        "words": bag,
        "length": longer(texts),
    }
    return methods, {"nested": heights, "words": penalties}


def _grid(features: Tensor, groups: Sequence[str]) -> dict[str, float]:
    """Accuracy of every setting; its best entry flatters, because it was picked on the pairs it was tried on."""
    return {
        f"{height} / {place} / {l2}": round(
            float(repeated(probe(_at(features, height, place), l2), groups, 1).mean()), 4
        )
        for height in HEIGHTS
        for place in PLACES
        for l2 in PENALTIES
    }


def _ideas(
    features: Tensor, texts: Sequence[str], groups: Sequence[str], plain: FloatArray
) -> dict[str, Any]:
    """What else was tried beside the defaults: paired differences from them."""
    lengths = torch.tensor([[float(len(text))] for text in texts]).log1p()
    default = _at(features, HEIGHT)
    ideas: dict[str, Method] = {
        "two heights beside each other": probe(torch.cat([_at(features, h) for h in ENDS], dim=1), L2),
        "two heights, each with its head": together(*(probe(_at(features, h), L2) for h in ENDS)),
        "scaled by differences within pairs": probe_of_differences(default, L2),
        "64 principal components of differences": probe_of_components(default, L2, 64),
        "256 principal components of differences": probe_of_components(default, L2, 256),
        "logarithm of the length as one more feature": probe(torch.cat([default, lengths], dim=1), L2),
        "sum with a bag of words": together(probe(default, L2), bag_of_words(texts, "presence", 0.03)),
    }
    return {name: compared(repeated(one, groups, 1), plain, groups) for name, one in ideas.items()}


def _lines(name: str, measured: dict[str, Any]) -> str:
    figures = [
        f"{who} {one['mean']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        for who, one in measured["accuracy"].items()
    ]
    return f"{name} ({measured['counts']['pairs']} pairs): " + ", ".join(figures)


def _write(sets: dict[str, Any], options: argparse.Namespace) -> str:
    says = "; ".join(
        f"{name}: probe {one['accuracy']['probe']['mean']:.3f}, words {one['accuracy']['words']['mean']:.3f}, "
        f"length {one['accuracy']['length']['mean']:.3f}"
        for name, one in sets.items()
    )
    result = {
        "name": "learning",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {**versions(), "scikit-learn": version("scikit-learn")},
        "says": says,
        "model": options.model,
        "dtype": options.dtype,
        "folds": FOLDS,
        "repeats": options.repeats,
        "defaults": {"layer_fraction": HEIGHT, "l2": L2, "max_length": MAX_LENGTH},
        "sets": sets,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "learning.json").write_text(json.dumps(result, indent=1) + "\n")
    return f"learning: {says}"


if __name__ == "__main__":
    main()
