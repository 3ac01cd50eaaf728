"""`make bench-rm`: training and scoring of reward models as token trees against TRL and against separate rows.

Training is one optimiser step over all pairs, so that every way must come to the same loss and the same norm of the
gradient, and the run fails where one does not. Same pairs, same tokens, same model (SmolLM2-135M, full fine-tuning),
float32, AdamW; interleaved in one process:

- tree: the product's own step (rewardmodel.core.tuning);
- trl-random: TRL's RewardTrainer, eight pairs a batch in random order, its default;
- trl-grouped: the same with the pairs sorted by length, so that batches are as alike as can be: the fair rival.

Cases: `single` is pairs of an HH-RLHF file, or dialogues made of the prompt pool; `turns` is dialogues of four turns
with a pair at each; `short` is short prompts with long answers, which share next to nothing. `best-of` scores sixteen
candidates a prompt as one tree, against one row a candidate of like length in batches of sixteen.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from bench.models import policy_of
from bench.record import write_result
from bench.rm_peers import grouped_rewards, trl_step
from bench.rm_texts import candidates, hh_pairs, short_pairs, turn_pairs
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm, load_tokenizer
from rewardmodel.core.layout import CPU_BUDGET, CPU_SCORING_BUDGET, plan_batches
from rewardmodel.core.network import Pooling, RewardNetwork
from rewardmodel.core.reading import choose_attention
from rewardmodel.core.rows import Row
from rewardmodel.core.scorer import score_rows
from rewardmodel.core.tuning import CLIP, TrainingPair, TuningPlan, accumulate

SAME: Final = 2e-3  # relative: float32, summed in another order
LEARNING_RATE: Final = 1e-5
WAYS: Final = ("tree", "trl-random", "trl-grouped")


@dataclass(frozen=True)
class Spent:
    """What one way took and came to."""

    wall: float
    cpu: float
    loss: float
    norm: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="an HH-RLHF file for the case `single`")
    parser.add_argument("--cases", nargs="+", default=["single", "turns", "short", "best-of"])
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument(
        "--budget", type=int, default=CPU_BUDGET, help="tokens a pass of the tree that learns"
    )
    parser.add_argument(
        "--scoring-budget", type=int, default=CPU_SCORING_BUDGET, help="tokens a pass that scores"
    )
    options = parser.parse_args()
    ref = policy_of("smollm2")
    tokenizer = load_tokenizer(ref)
    touch_memory()
    rate = matrix_rate()
    makers: dict[str, Callable[[], list[tuple[Row, Row]]]] = {
        "single": lambda: hh_pairs(tokenizer, options.data, options.pairs),
        "turns": lambda: turn_pairs(tokenizer, options.pairs // 4),
        "short": lambda: short_pairs(tokenizer, options.pairs // 2),
    }
    for case in options.cases:
        if case == "best-of":
            print(best_of(ref, tokenizer, options.repeats, options.scoring_budget, rate))
        else:
            print(training(case, makers[case](), ref, tokenizer, options, rate))


def training(
    case: str,
    pairs: Sequence[tuple[Row, Row]],
    ref: PolicyRef,
    tokenizer: PreTrainedTokenizerBase,
    options: argparse.Namespace,
    rate: float,
) -> str:
    ways: dict[str, Callable[[], Spent]] = {
        "tree": lambda: tree_step(ref, pairs, int(tokenizer.pad_token_id), options.budget),
        "trl-random": lambda: trl(ref, pairs, tokenizer, grouped=False),
        "trl-grouped": lambda: trl(ref, pairs, tokenizer, grouped=True),
    }
    spent: dict[str, list[Spent]] = {way: [] for way in options.ways}
    for _ in range(options.repeats):
        for way in options.ways:
            spent[way].append(ways[way]())
            print(f"  {case} {way}: {spent[way][-1]}", flush=True)
            gc.collect()
    require_same(spent)
    batches = plan_batches([[a.tokens, b.tokens] for a, b in pairs], tokens_per_batch=options.budget)
    distinct = sum(batch.tokens for batch in batches)
    floor = 3 * distinct * flops_a_token(ref) / rate
    cpu = {way: median(one.cpu for one in runs) for way, runs in spent.items()}
    wall = {way: median(one.wall for one in runs) for way, runs in spent.items()}
    ratios = ", ".join(
        f"{wall[way] / wall['tree']:.2f}x (CPU-seconds {cpu[way] / cpu['tree']:.2f}x) faster than {way}"
        for way in options.ways
        if way != "tree"
    )
    return write_result(
        f"rm_{case.replace('-', '_')}",
        runs={way: [one.wall for one in runs] for way, runs in spent.items()},
        unit="seconds",
        floor="tree",
        says=f"a step as token trees is {ratios}; it takes {wall['tree'] / floor:.2f} times what the matrix products "
        f"of its {distinct:,} distinct tokens alone take at {rate / 1e9:.0f} GFLOP/s",
        cpu_seconds={way: [one.cpu for one in runs] for way, runs in spent.items()},
        loss={way: runs[0].loss for way, runs in spent.items()},
        gradient_norm={way: runs[0].norm for way, runs in spent.items()},
        pairs=len(pairs),
        tokens_of_rows=sum(len(row.tokens) for pair in pairs for row in pair),
        distinct_tokens=distinct,
        tokens_per_batch=options.budget,
        floor_seconds=floor,
        matrix_flops_a_second=rate,
        data=options.data.name if options.data and case == "single" else "made of the prompt pool",
    )


def tree_step(ref: PolicyRef, pairs: Sequence[tuple[Row, Row]], pad: int, budget: int) -> Spent:
    network = _network(ref, pad)
    network.head.weight.data.copy_(first_head(network.head.in_features))
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
    plan = TuningPlan(
        epochs=1,
        learning_rate=LEARNING_RATE,
        pairs_per_step=len(pairs),
        tokens_per_batch=budget,
        safety_loss_weight=0.0,
        seed=0,
    )
    rows = [TrainingPair(a, b, 0.0, 1.0, 0, 0, number) for number, (a, b) in enumerate(pairs)]
    watch = Stopwatch()
    loss = accumulate(network, rows, plan)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, CLIP))
    optimizer.step()
    optimizer.zero_grad()
    return Spent(*watch.read(), loss, norm)


def trl(
    ref: PolicyRef, pairs: Sequence[tuple[Row, Row]], tokenizer: PreTrainedTokenizerBase, *, grouped: bool
) -> Spent:
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        ref.path, num_labels=1, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    model.score.weight.data.copy_(first_head(model.config.hidden_size))
    model.config.pad_token_id = tokenizer.pad_token_id
    step = trl_step(model, pairs, tokenizer, grouped=grouped, learning_rate=LEARNING_RATE, clip=CLIP)
    watch = Stopwatch()
    loss, norm = step()
    return Spent(*watch.read(), loss, norm)


def best_of(
    ref: PolicyRef, tokenizer: PreTrainedTokenizerBase, repeats: int, budget: int, rate: float
) -> str:
    network = _network(ref, int(tokenizer.pad_token_id)).requires_grad_(False)
    plain = RewardNetwork(
        backbone_of(load_causal_lm(ref, torch.device("cpu"))),
        width=network.head.in_features,
        pooling=Pooling.LAST,
        pad=network.pad,
    ).requires_grad_(False)
    plain.head.load_state_dict(network.head.state_dict())
    runs: dict[str, list[float]] = {}
    more: dict[str, Any] = {}
    for prompt in (512, 128):
        rows = candidates(tokenizer, prompts=2, prompt=prompt, k=16)
        for _ in range(repeats):
            watch = Stopwatch()
            found = score_rows(network, rows, budget)
            runs.setdefault(f"tree-{prompt}", []).append(watch.read()[0])
            watch = Stopwatch()
            expected = grouped_rewards(plain, rows, rows_a_batch=16)
            runs.setdefault(f"rows-{prompt}", []).append(watch.read()[0])
            worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
            if worst > SAME:
                raise SystemExit(f"the two ways of scoring disagree by {worst}: nothing was measured")
        batches = plan_batches([[row.tokens] for row in rows], tokens_per_batch=budget)
        distinct = sum(batch.tokens for batch in batches)
        more[f"distinct_tokens_{prompt}"] = distinct
        more[f"tokens_of_rows_{prompt}"] = sum(len(row.tokens) for row in rows)
        more[f"of_the_floor_{prompt}"] = distinct * flops_a_token(ref) / rate / median(runs[f"tree-{prompt}"])
    faster = {p: median(runs[f"rows-{p}"]) / median(runs[f"tree-{p}"]) for p in (512, 128)}
    return write_result(
        "rm_best_of",
        runs=runs,
        unit="seconds",
        floor="tree-512",
        says=f"scoring the best of 16 as one tree is {faster[512]:.2f}x faster than rows at prompts of 512 tokens and "
        f"{faster[128]:.2f}x at 128, answers of 24 to 64",
        **more,
    )


def require_same(spent: dict[str, list[Spent]]) -> None:
    """Whoever computes something else is not faster."""
    reference = next(iter(spent.values()))[0]
    for way, runs in spent.items():
        for name in ("loss", "norm"):
            ours, theirs = getattr(reference, name), getattr(runs[0], name)
            if abs(ours - theirs) > SAME * abs(ours):
                raise SystemExit(f"{way} comes to a {name} of {theirs} and not {ours}: nothing was measured")


def touch_memory(gigabytes: int = 6) -> None:
    """A virtual machine hands memory out page by page when it is first written to; whoever comes first would pay."""
    torch.ones(gigabytes * 2**28)


def matrix_rate(size: int = 2048, repeats: int = 5) -> float:
    """FLOP/s of a large product in float32, the best of a few: what no layout can beat."""
    one, other = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(repeats):
        watch = Stopwatch()
        torch.mm(one, other)
        best = min(best, watch.read()[0])
    return 2 * size**3 / best


def flops_a_token(ref: PolicyRef) -> float:
    """Of the matrix products of one forward pass: two a weight, the embedding left out."""
    backbone = backbone_of(load_causal_lm(ref, torch.device("cpu")))
    return 2.0 * sum(p.numel() for name, p in backbone.named_parameters() if "proj" in name)


def first_head(width: int) -> torch.Tensor:
    """The same head for every way."""
    draw = torch.Generator().manual_seed(0)
    head: torch.Tensor = torch.randn(1, width, generator=draw) / width**0.5
    return head


class Stopwatch:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def _network(ref: PolicyRef, pad: int) -> RewardNetwork:
    backbone = backbone_of(load_causal_lm(ref, torch.device("cpu")))
    choose_attention(backbone, torch.device("cpu"))
    width = int(backbone.config.hidden_size)
    return RewardNetwork(backbone, width=width, pooling=Pooling.LAST, pad=pad).eval()


if __name__ == "__main__":
    main()
