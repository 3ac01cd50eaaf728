"""`make bench-sft`: one optimiser step of fine-tuning over packed targets against padded rows of like length.

The same targets, tokens and model (SmolLM2-135M, full fine-tuning), float32, AdamW; interleaved in one process. Every
way must come to the same loss and the same norm of the gradient, and the measurement fails where one does not:

- packed: the product's own step (training.core.sft);
- rows: eight rows a batch, sorted by length and filled up, through the model's own forward pass, with logits for the
  columns that are learnt alone; it is what a trainer of padded rows does at its best;
- rows-all: the same with logits for every column, which is what such trainers do.

Cases: `winners` is K answers to each of a few prompts; `distinct` is as many targets, each with a prompt of its own;
`dialogues` is every answer of dialogues of four turns, each learnt as a target of its own, as winners of a week are.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from annotation.core.records import Message
from bench.models import policy_of
from bench.record import write_result
from bench.rm import SAME, Spent, Stopwatch, flops_a_token, matrix_rate, require_same, touch_memory
from bench.rm_texts import Words
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer
from rewardmodel.core.layout import CPU_BUDGET
from rewardmodel.core.report import Silent
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.tuning import CLIP
from training.core.examples import examples_of
from training.core.packing import Example, plan_packs
from training.core.policy_network import network_of
from training.core.sft import SftPlan, accumulate
from training.core.targets import Target

CPU: Final = torch.device("cpu")
LEARNING_RATE: Final = 2e-5
ROWS_A_BATCH: Final = 8
WAYS: Final = ("packed", "rows", "rows-all")


@dataclass(frozen=True)
class Case:
    """Targets to learn in one step, and what they are."""

    says: str
    targets: Callable[[Words, int], list[Target]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--targets", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", type=int, default=CPU_BUDGET, help="distinct tokens of a packed pass")
    options = parser.parse_args()
    ref = policy_of("smollm2")
    tokenizer = load_tokenizer(ref)
    touch_memory()
    rate = matrix_rate()
    for name in options.cases:
        print(measured(name, ref, tokenizer, options, rate))


def measured(
    name: str, ref: PolicyRef, tokenizer: PreTrainedTokenizerBase, options: argparse.Namespace, rate: float
) -> str:
    case = CASES[name]
    encoder = RowEncoder(tokenizer, 8192)
    examples = [
        one
        for target in case.targets(Words(tokenizer), options.targets)
        for one in examples_of(target, encoder)
    ]
    steps: dict[str, Callable[[], Spent]] = {
        "packed": lambda: packed_step(ref, examples, int(tokenizer.pad_token_id), options.budget),
        "rows": lambda: rows_step(ref, examples, int(tokenizer.pad_token_id), every_column=False),
        "rows-all": lambda: rows_step(ref, examples, int(tokenizer.pad_token_id), every_column=True),
    }
    spent: dict[str, list[Spent]] = {way: [] for way in options.ways}
    for _ in range(options.repeats):
        for way in options.ways:
            spent[way].append(steps[way]())
            print(f"  {name} {way}: {spent[way][-1]}", flush=True)
            gc.collect()
    require_same(spent)
    packs = plan_packs(examples, options.budget)
    distinct, in_rows = sum(pack.tokens for pack in packs), sum(len(one.tokens) for one in examples)
    wall = {way: median(one.wall for one in runs) for way, runs in spent.items()}
    cpu = {way: median(one.cpu for one in runs) for way, runs in spent.items()}
    ratios = ", ".join(
        f"{wall[way] / wall['packed']:.2f}x (CPU-seconds {cpu[way] / cpu['packed']:.2f}x) faster than {way}"
        for way in options.ways
        if way != "packed"
    )
    return write_result(
        f"sft_{name}",
        runs={way: [one.wall for one in runs] for way, runs in spent.items()},
        unit="seconds",
        floor="packed",
        says=f"a packed step over {options.targets} targets, {case.says}, is {ratios}; {in_rows:,} tokens of rows are "
        f"{distinct:,} distinct ones",
        cpu_seconds={way: [one.cpu for one in runs] for way, runs in spent.items()},
        loss={way: runs[0].loss for way, runs in spent.items()},
        gradient_norm={way: runs[0].norm for way, runs in spent.items()},
        same_within=SAME,
        examples=len(examples),
        targets=sum(one.targets for one in examples),
        tokens_of_rows=in_rows,
        distinct_tokens=distinct,
        tokens_per_batch=options.budget,
        floor_seconds=3 * distinct * flops_a_token(ref) / rate,
        matrix_flops_a_second=rate,
    )


def packed_step(ref: PolicyRef, examples: Sequence[Example], pad: int, budget: int) -> Spent:
    model = load_causal_lm(ref, CPU, torch.float32)
    network = network_of(model, pad=pad)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    plan = SftPlan(
        epochs=1,
        learning_rate=LEARNING_RATE,
        weight_decay=0.1,
        examples_per_step=len(examples),
        tokens_per_batch=budget,
        seed=0,
    )
    watch = Stopwatch()
    loss = accumulate(network, examples, plan, Silent())
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
    optimizer.step()
    return Spent(*watch.read(), loss, norm)


def rows_step(ref: PolicyRef, examples: Sequence[Example], pad: int, *, every_column: bool) -> Spent:
    model: Any = load_causal_lm(ref, CPU, torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    targets = sum(example.targets for example in examples)
    order = sorted(examples, key=lambda example: len(example.tokens))
    watch = Stopwatch()
    total = 0.0
    for start in range(0, len(order), ROWS_A_BATCH):
        loss = _rows_loss(model, order[start : start + ROWS_A_BATCH], pad, every_column) / targets
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
    optimizer.step()
    return Spent(*watch.read(), total, norm)


def _rows_loss(model: Any, rows: Sequence[Example], pad: int, every_column: bool) -> torch.Tensor:
    width = max(len(row.tokens) for row in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        tokens = torch.tensor(row.tokens)
        ids[number, : len(tokens)] = tokens
        mask[number, : len(tokens)] = 1
        learnt = torch.from_numpy(row.learnt())
        labels[number, learnt] = tokens[learnt]
    first = 0 if every_column else min(row.spans[0][0] for row in rows) - 1
    output = model(input_ids=ids, attention_mask=mask, logits_to_keep=width - first, use_cache=False)
    logits = output.logits[:, :-1].reshape(-1, output.logits.shape[-1])
    return functional.cross_entropy(logits, labels[:, first + 1 :].reshape(-1), reduction="sum")


def winners(words: Words, prompts: int, k: int) -> list[Target]:
    """`k` answers of 40 to 120 tokens to each of `prompts` prompts of 60 to 200."""
    found = []
    for number in range(prompts):
        messages: tuple[Message, ...] = ({"role": "user", "content": words.text(60, 200)},)
        found += [Target(f"d{number}", messages, words.text(40, 120)) for _ in range(k)]
    return found


def dialogues(words: Words, count: int, turns: int = 4) -> list[Target]:
    """The answer of each turn as a target: prompts of 20 to 40 tokens, answers of 60 to 140."""
    found = []
    for number in range(count):
        messages: list[Message] = []
        for _ in range(turns):
            messages.append({"role": "user", "content": words.text(20, 40)})
            found.append(Target(f"d{number}", tuple(messages), words.text(60, 140)))
            messages.append({"role": "assistant", "content": found[-1].text})
    return found


CASES: Final = {
    "winners": Case("4 a prompt", lambda words, count: winners(words, count // 4, 4)),
    "distinct": Case("each with a prompt of its own", lambda words, count: winners(words, count, 1)),
    "dialogues": Case("4 a dialogue", lambda words, count: dialogues(words, count // 4)),
}


if __name__ == "__main__":
    main()
