"""`make bench-tree`: encoding pairs as token trees against one row a response.

Three ways of the same work, interleaved in one run, on the same model and the same pairs:

- tree: the planner's layout, which shares the prompt where that is cheaper;
- sorted: one row a response, rows of like length together, at the same token budget (the fair rival);
- random: one row a response, eight rows a batch in the order of the file, padded (what trainers do by default).

The rewards' features must agree; the run fails where they do not.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from annotation.core.formats.base import ImportedJudgment
from annotation.core.formats.lines import open_lines
from annotation.core.formats.registry import read
from annotation.core.records import Message
from bench.models import policy_of
from bench.record import write_result
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm, load_tokenizer
from rewardmodel.core.features import read_batches
from rewardmodel.core.layout import Batch, plan_batches
from rewardmodel.core.network import Pooling, RewardNetwork, lower_layers
from rewardmodel.core.rows import Row, RowEncoder
from rewardmodel.core.tree import grow

POOL = Path(__file__).resolve().parent.parent / "annotation" / "pool" / "helpfulness.txt"
TOLERANCE = 2e-3  # float32 over twenty layers, in units of hidden states of order 1 to 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--data", type=Path, help="an HH-RLHF file; default: dialogues made of the prompt pool"
    )
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    ref = policy_of(options.model)
    rows = _rows(RowEncoder(load_tokenizer(ref), 512), _dialogues(options.data, options.pairs))
    print(_measure(_network(ref), rows, options.repeats, options.data))


def _measure(network: RewardNetwork, rows: Sequence[Row], repeats: int, data: Path | None) -> str:
    ways: dict[str, Callable[[], list[Batch]]] = {
        "tree": lambda: plan_batches([[row.tokens] for row in rows], tokens_per_batch=4096),
        "sorted": lambda: _alone(rows, sorted(range(len(rows)), key=lambda n: -len(rows[n].tokens)), 4096),
        "random": lambda: _alone(rows, list(range(len(rows))), None),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    features: dict[str, torch.Tensor] = {}
    for _ in range(repeats):
        for way, plan in ways.items():
            started = time.perf_counter()
            batches = plan()
            read_out = list(read_batches(network, rows, batches))
            seconds[way].append(time.perf_counter() - started)
            order = torch.tensor([row for batch in batches for row in batch.rows])
            features[way] = torch.cat(read_out)[order.argsort()]
    worst = max((features["tree"] - features[way]).abs().max().item() for way in ("sorted", "random"))
    if worst > TOLERANCE:
        raise SystemExit(f"the ways disagree by {worst}: nothing was measured")
    by = {way: median(seconds[way]) / median(seconds["tree"]) for way in ways}
    return write_result(
        "tree",
        runs=seconds,
        unit="seconds",
        floor="tree",
        says=f"token tree {by['sorted']:.2f}x faster than sorted rows, {by['random']:.2f}x than random batches "
        f"({len(rows) // 2} pairs, largest difference {worst:.1e})",
        pairs=len(rows) // 2,
        tokens_of_rows=sum(len(row.tokens) for row in rows),
        distinct_tokens=sum(batch.tokens for batch in ways["tree"]()),
        data=data.name if data else "dialogues made of the prompt pool",
    )


def _alone(rows: Sequence[Row], order: Sequence[int], budget: int | None) -> list[Batch]:
    """One row a response: at most `budget` tokens a batch with padding, or eight rows where there is none."""
    batches: list[list[int]] = [[]]
    for number in order:
        group = batches[-1]
        width = max(len(rows[n].tokens) for n in [*group, number])
        full = len(group) == 8 if budget is None else width * (len(group) + 1) > budget
        if group and full:
            batches.append([])
        batches[-1].append(number)
    return [
        Batch(tuple(grow([rows[n].tokens]) for n in group), tuple(group), tuple(group)) for group in batches
    ]


def _network(ref: PolicyRef) -> RewardNetwork:
    backbone = lower_layers(backbone_of(load_causal_lm(ref, torch.device("cpu"))), 0.75)
    width = int(backbone.config.hidden_size)
    return RewardNetwork(backbone, width=width, pooling=Pooling.LAST_AND_MEAN, pad=0).eval()


def _rows(encoder: RowEncoder, dialogues: Sequence[tuple[Sequence[Message], str, str]]) -> list[Row]:
    rows = [encoder.rows(messages, (one, two)) for messages, one, two in dialogues]
    return list(itertools.chain.from_iterable(rows))


def _dialogues(data: Path | None, count: int) -> list[tuple[Sequence[Message], str, str]]:
    if data is None:
        return _made(count)
    judgments = (j for j in read(open_lines(data), form="hh-rlhf") if isinstance(j, ImportedJudgment))
    return [(j.messages, j.response_a.text, j.response_b.text) for j in itertools.islice(judgments, count)]


def _made(count: int) -> list[tuple[Sequence[Message], str, str]]:
    """Dialogues of three user turns whose texts are strung together from the prompt pool."""
    lines = POOL.read_text().splitlines()
    draw = random.Random(0)

    def text(least: int, most: int) -> str:
        return " ".join(draw.choice(lines) for _ in range(draw.randint(least, most)))

    made: list[tuple[Sequence[Message], str, str]] = []
    for _ in range(count):
        messages: list[Message] = []
        for turn in range(3):
            messages.append({"role": "user", "content": text(1, 3)})
            if turn < 2:
                messages.append({"role": "assistant", "content": text(2, 6)})
        made.append((messages, text(2, 8), text(2, 8)))
    return made


if __name__ == "__main__":
    main()
