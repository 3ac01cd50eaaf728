"""Rows at work in a transformers model, two ways that agree: prompts shared by their rows, or each row with a copy.

Knows models, caches and positions. Must not know sampling, text or budgets.

- shared: each distinct prompt is read once, all waiting ones packed in one row, and its keys and values are held once
  (shared_cache.py); rows join and leave at any step.
- copied: prompts are padded to one length, read once, and their keys and values repeated for their rows; for a model
  whose attention is its own (a sliding window, a soft cap, no registry). Rows leave at any step, and join when none is
  at work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from rewardmodel.core.attention import runs_of
from rewardmodel.core.reading import AGREES, AGREES_ROUGHLY, ROW_ATTENTION
from rewardmodel.core.tree import grow
from training.core.batching import Ids, pad_left, positions_of
from training.core.decoding import Rows
from training.core.shared_cache import SHARED_PROMPTS, SharedCache, stand

logger = logging.getLogger(__name__)

# What the check of a model reads: two prompts, one with two rows, and the tokens that the rows then take.
PROBE_PROMPTS: Final = ((3, 4, 5, 6, 7), (8, 9), (3, 4, 5, 6, 7))
PROBE_STEPS: Final = ((5, 6, 10), (7, 7, 3))


def choose_rows(model: PreTrainedModel, *, pad: int, device: torch.device) -> Callable[[], Rows]:
    """The faster way of the two that this model computes rightly, and what makes empty rows of it.

    What a model does with shared prompts is not believed but compared, on a few tokens, with its rows read alone.
    """

    def shared() -> SharedPrompts:
        return SharedPrompts(model, device=device)

    def copied() -> CopiedPrompts:
        return CopiedPrompts(model, pad=pad, device=device)

    if not _may_share(model):
        return copied
    model.set_attn_implementation(ROW_ATTENTION)
    with torch.inference_mode():
        expected = _read_alone(model, device)
        model.set_attn_implementation(SHARED_PROMPTS)
        try:
            found = _read_probe(shared())
        except (ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
            logger.warning("%s does not share prompts: %s", type(model).__name__, error)
        else:
            bound = AGREES.get(expected.dtype, AGREES_ROUGHLY) * float(expected.abs().max())
            if float((found - expected).abs().max()) <= bound:
                return shared
            logger.warning("%s reads shared prompts wrongly; each row has a copy.", type(model).__name__)
    model.set_attn_implementation(ROW_ATTENTION)
    return copied


class SharedPrompts:
    """Each distinct prompt's keys and values held once. The model's attention must be SHARED_PROMPTS."""

    joins = True

    def __init__(self, model: PreTrainedModel, *, device: torch.device) -> None:
        self._model: Any = model
        self._device = device
        self._cache: SharedCache | None = None
        self._prompts: list[Ids] = []  # by number
        self._first: dict[Ids, Tensor] = {}  # logits behind each
        self._prompt_of: list[Ids] = []  # by row
        self._drawn: list[int] = []  # by row, tokens of its own that are cached

    def cost(self, rows: Iterable[tuple[Ids, int]]) -> int:
        held = list(rows)
        return sum(map(len, {prompt for prompt, _ in held})) + sum(longest for _, longest in held)

    def admit(self, prompts: Sequence[Ids]) -> Tensor:
        if fresh := [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._first]:
            self._read(fresh)
        self._prompt_of += prompts
        self._drawn += [0] * len(prompts)
        return torch.stack([self._first[prompt] for prompt in prompts])

    def step(self, tokens: Sequence[int]) -> Tensor:
        cache = self._there()
        number = {prompt: n for n, prompt in enumerate(self._prompts)}
        cache.stand(
            stand(
                [number[prompt] for prompt in self._prompt_of],
                [len(prompt) for prompt in self._prompts],
                self._drawn,
                self._device,
            )
        )
        positions = [len(prompt) + own for prompt, own in zip(self._prompt_of, self._drawn, strict=True)]
        output = self._model(
            input_ids=torch.tensor(tokens, device=self._device)[:, None],
            position_ids=torch.tensor(positions, device=self._device)[:, None],
            past_key_values=cache,
            use_cache=True,
            shared=cache,
        )
        self._drawn = [own + 1 for own in self._drawn]
        logits: Tensor = output.logits[:, -1]
        return logits

    def keep(self, order: Sequence[int]) -> None:
        for target, source in enumerate(order):
            if source != target:
                for layer in self._there().shared:
                    layer.move_row(source, target, self._drawn[source])
        self._prompt_of = [self._prompt_of[row] for row in order]
        self._drawn = [self._drawn[row] for row in order]

    def forget(self, prompt: Ids) -> None:
        """The last prompt takes its number."""
        del self._first[prompt]
        gap, last = self._prompts.index(prompt), self._prompts.pop()
        if last != prompt:
            for layer in self._there().shared:
                layer.move_prompt(len(self._prompts), gap, len(last))
            self._prompts[gap] = last

    def _there(self) -> SharedCache:
        if self._cache is None:
            raise ValueError("no row was admitted yet")
        return self._cache

    def _read(self, prompts: Sequence[Ids]) -> None:
        """Read new prompts as one packed row without fill, in which what they share is computed once."""
        tree = grow(prompts)
        cache = DynamicCache()
        ends = torch.tensor([int(path[-1]) for path in tree.paths], device=self._device)
        output = self._model(
            input_ids=torch.from_numpy(tree.tokens)[None].to(self._device),
            position_ids=torch.from_numpy(tree.depth)[None].to(self._device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=ends,
            row_runs=runs_of(tree.depth),
        )
        layers: list[Any] = list(cache.layers)
        if self._cache is None:
            self._cache = SharedCache(len(layers))
        paths = [torch.from_numpy(path).to(self._device) for path in tree.paths]
        for layer, read in zip(self._cache.shared, layers, strict=True):
            for number, path in enumerate(paths, start=len(self._prompts)):
                layer.store_prompt(number, read.keys[0][:, path], read.values[0][:, path])
        self._prompts += prompts
        self._first.update(zip(prompts, output.logits[0], strict=True))


class CopiedPrompts:
    """Left-padded rows, each with a copy of its prompt's keys and values."""

    joins = False

    def __init__(self, model: PreTrainedModel, *, pad: int, device: torch.device) -> None:
        self._model: Any = model
        self._pad = pad
        self._device = device
        self._cache: DynamicCache | None = None
        self._mask = torch.empty(0)

    def cost(self, rows: Iterable[tuple[Ids, int]]) -> int:
        held = list(rows)
        return len(held) * (max(len(prompt) for prompt, _ in held) + max(longest for _, longest in held))

    def admit(self, prompts: Sequence[Ids]) -> Tensor:
        distinct = list(dict.fromkeys(prompts))
        ids, mask = pad_left(distinct, self._pad, self._device)
        self._cache = DynamicCache(config=self._model.config)
        logits = self._forward(ids, mask, positions_of(mask))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self._device)
        self._cache.batch_select_indices(rows)
        self._mask = mask[rows]
        return logits[rows]

    def step(self, tokens: Sequence[int]) -> Tensor:
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        ids = torch.tensor(tokens, device=self._device)[:, None]
        return self._forward(ids, self._mask, positions_of(self._mask)[:, -1:])

    def keep(self, order: Sequence[int]) -> None:
        if order and self._cache is not None:
            rows = torch.tensor(order, device=self._device)
            self._cache.batch_select_indices(rows)
            self._mask = self._mask[rows]

    def forget(self, prompt: Ids) -> None:
        """Its copies went with their rows."""

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits


def _may_share(model: PreTrainedModel) -> bool:
    """Whether no layer looks through a window, which is longer than what is compared."""
    config: Any = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return getattr(config, "sliding_window", None) is None and kinds == {"full_attention"}


def _read_probe(rows: SharedPrompts) -> Tensor:
    found = [rows.admit(PROBE_PROMPTS), *(rows.step(tokens) for tokens in PROBE_STEPS)]
    return torch.stack(found)


def _read_alone(model: Any, device: torch.device) -> Tensor:
    """The logits behind each prompt and each later token, without cache or fill."""
    found = []
    for number, prompt in enumerate(PROBE_PROMPTS):
        ids = [*prompt, *(tokens[number] for tokens in PROBE_STEPS)]
        logits = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0]
        found.append(logits[len(prompt) - 1 :])
    return torch.stack(found, dim=1)
