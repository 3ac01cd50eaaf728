"""Does Ghost Attention make a policy remember an instruction? Recall at turns 1, 2, 4, 6 and 20 before and after.

`python -m bench.gatt`; results in bench/results/gatt.json, read in docs/experiments/gatt.md. The policy is a small
Llama trained from nothing on the language of bench.gatt_world, where an instruction holds for one turn alone. The runs
are the product's own: GATT makes dialogues, FINETUNE learns from them, and measure_recall asks.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from annotation.core.records import Message, canonical_json, dialogue_key
from bench.experiments.folds import by_seed
from bench.gatt_world import OTHERS, answer, draw_pair, draw_part, question, train_base
from bench.models import ROOT
from bench.record import write_result
from rewardmodel.core.backbone import PolicyRef, pick_device
from rewardmodel.core.report import Silent
from training.core.dialogue_rounds import Asked, Rounds
from training.core.draws import draw_seed
from training.core.generate import LocalGenerator
from training.core.instructions import WORDS
from training.core.recall import TURNS, Probe, by_kind, measure_recall
from training.core.rules import words_of
from training.core.specs.dialogues import GattSpec

FOLDER: Final = ROOT / "var" / "bench" / "gatt"
STEPS: Final = 1500
EXCHANGES: Final = 64  # of a step
DIALOGUES: Final = 768
PLAIN: Final = 256  # dialogues without an instruction that are learnt beside the others
PROBES: Final = 120
TEMPERATURE: Final = 1.0
GATT: Final[dict[str, Any]] = {
    "turns": 6,
    "instructions": "rules",
    "only_obeyed": True,
    "max_new_tokens": 16,
    "tokens_per_batch": 16384,
    "recall_dialogues": 0,
}
FINETUNE: Final[dict[str, Any]] = {
    "recipe": "full",
    "learning_rate": 1e-3,
    "epochs": 8,
    "examples_per_step": 32,
    "max_length": 512,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="train the policies anew")
    options = parser.parse_args(argv)
    if options.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    found = [_one(seed) for seed in range(options.seeds)]
    print(_write(found))
    if not all(_at(one["after"], 4) > _at(one["before"], 4) for one in found):
        sys.exit("recall at turn 4 is not higher after than before")


def _one(seed: int) -> dict[str, Any]:
    """A policy of its own, its recall before, and after learning from its own dialogues."""
    folder = FOLDER / str(seed)
    base = folder / "base"
    if not (base / "manifest.json").exists():
        print(f"seed {seed}: training the policy", flush=True)
        train_base(
            base, seed=seed, steps=STEPS, exchanges=EXCHANGES, say=lambda text: print(text, flush=True)
        )
    ref = PolicyRef(f"base-{seed}", base, None)
    made = _run(folder / "dialogues", "gatt", seed, GATT, _gatt_inputs(folder, ref, seed))
    targets = folder / "dialogues" / "output" / "targets.jsonl"
    files = [str(targets), str(_plain_targets(folder, seed))]
    inputs = {"policy": ref.to_json(), "lines": files, "name": f"gatt-{seed}"}
    learnt = _run(folder / "tuned", "finetune", seed, FINETUNE, inputs)
    tuned = PolicyRef(f"gatt-{seed}", folder / "tuned" / "output", None)
    return {
        "seed": seed,
        "gatt": made,
        "finetune": learnt,
        "before": _measure(folder / "before", ref, seed),
        "after": _measure(folder / "after", tuned, seed),
    }


def _gatt_inputs(folder: Path, ref: PolicyRef, seed: int) -> dict[str, Any]:
    draw = random.Random(f"prompts {seed}")
    pairs = sorted({draw_pair(draw) for _ in range(2 * DIALOGUES)})
    draw.shuffle(pairs)
    path = folder / "prompts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for pair in pairs[:DIALOGUES]:
        messages: list[Message] = [{"role": "user", "content": question(pair)}]
        line = {"dialogue": dialogue_key(messages), "messages": messages, "focus": "helpfulness"}
        lines.append(canonical_json(line) + "\n")
    path.write_text("".join(lines))
    return {"policy": ref.to_json(), "prompts": str(path)}


def _plain_targets(folder: Path, seed: int) -> Path:
    """Dialogues without an instruction, as an iteration's winners would be: who learns instructions alone gives them
    where nobody asks."""
    draw = random.Random(f"plain targets {seed}")
    path = folder / "plain.jsonl"
    lines = []
    for _ in range(PLAIN):
        messages: list[Message] = []
        for _ in range(draw.randint(1, int(GATT["turns"]))):
            pair = draw_pair(draw)
            messages.append({"role": "user", "content": question(pair)})
            messages.append({"role": "assistant", "content": answer(pair, None)})
        asked, told = messages[:-1], messages[-1]["content"]
        line = {"dialogue": dialogue_key(asked), "messages": asked, "text": told, "finish_reason": "stop"}
        lines.append(canonical_json(line) + "\n")
    path.write_text("".join(lines))
    return path


def _run(out: Path, kind: str, seed: int, params: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """The result of a run in a process of its own, as the product makes it; one that was made is read."""
    out.mkdir(parents=True, exist_ok=True)
    spec = out / "spec.json"
    file = {"kind": kind, "seed": seed, "code_version": "bench", "params": params, "inputs": inputs}
    spec.write_text(json.dumps({**file, "device": "cpu"}))
    command = [sys.executable, "-m", "training.core.cli", "--spec", str(spec), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def _measure(work: Path, ref: PolicyRef, seed: int) -> dict[str, Any]:
    """Recall with words of the dialogues and with others, and how questions without an instruction fare."""
    shutil.rmtree(work, ignore_errors=True)
    spec = GattSpec.model_validate(GATT)
    generator = LocalGenerator(ref, pick_device("cpu"), spec.tokens_per_batch)
    measured = {}
    with Rounds(generator, spec, work, Silent()) as rounds:
        for name, words in (("all", WORDS), ("new words", OTHERS)):
            probes = _probes(seed, name, words)
            asked = Rounds(generator, spec, work / name, Silent())
            recalls = measure_recall(asked.ask, probes, TURNS, seed=seed, temperature=TEMPERATURE)
            measured[name] = {str(recall.turn): recall.to_json() for recall in recalls}
            if name == "all":
                measured["kinds"] = by_kind(probes, recalls)
        plain = _plain(rounds, seed)
    return {**measured, "plain": plain}


def _probes(seed: int, name: str, words: Sequence[str]) -> list[Probe]:
    """Dialogues that no policy has learnt from; with new words only kinds that have a word."""
    draw = random.Random(f"probes {seed} {name}")
    probes: list[Probe] = []
    while len(probes) < PROBES:
        part = draw_part(draw, words)
        if name == "all" or part.rule.value in words:
            questions = tuple(question(draw_pair(draw)) for _ in range(max(TURNS)))
            probes.append(Probe(f"{name} {len(probes)}", part, questions))
    return probes


def _plain(rounds: Rounds, seed: int) -> float:
    """The share of right answers at turn 4 of dialogues in which nobody gives an instruction."""
    draw = random.Random(f"plain {seed}")
    histories: list[list[Message]] = [[] for _ in range(PROBES)]
    right = 0
    for turn in range(1, 5):
        pairs = [draw_pair(draw) for _ in histories]
        for history, pair in zip(histories, pairs, strict=True):
            history.append({"role": "user", "content": question(pair)})
        asked = [Asked(h, TEMPERATURE, draw_seed(seed, "plain", n, turn)) for n, h in enumerate(histories)]
        rows = rounds.ask(f"plain/{turn}", asked)
        for history, row in zip(histories, rows, strict=True):
            history.append({"role": "assistant", "content": row["text"]})
        wanted = [words_of(answer(pair, None)) for pair in pairs]
        right = sum(words_of(row["text"]) == words for row, words in zip(rows, wanted, strict=True))
    return right / PROBES


def _at(measured: dict[str, Any], turn: int, name: str = "all") -> float:
    return float(measured[name][str(turn)]["share"])


def _write(found: Sequence[dict[str, Any]]) -> str:
    before, after = ([_at(one[when], 4) for one in found] for when in ("before", "after"))
    says = "recall at turn 4 over {} seeds: before {}, after {}".format(
        len(found), *(", ".join(f"{share:.3f}" for share in shares) for shares in (before, after))
    )
    over: dict[str, Any] = {}
    if len(found) > 1:
        for name in ("all", "new words"):
            over[name] = {
                str(turn): {
                    when: by_seed([_at(one[when], turn, name) for one in found]).to_json()
                    for when in ("before", "after")
                }
                | {
                    "gain": by_seed(
                        [_at(one["after"], turn, name) - _at(one["before"], turn, name) for one in found]
                    ).to_json()
                }
                for turn in TURNS
            }
    return write_result(
        "gatt",
        runs={"before": before, "after": after},
        unit="share of instructions obeyed at turn 4",
        floor="after",
        says=says,
        params={"gatt": GATT, "finetune": FINETUNE, "steps": STEPS, "exchanges": EXCHANGES, "probes": PROBES},
        over_seeds=over,
        seeds=list(found),
    )


if __name__ == "__main__":
    main()
