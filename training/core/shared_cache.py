"""Keys and values of prompts that many rows share, and the attention that reads them without a copy.

Knows transformers' caches and its registry of attentions. Must not know text, sampling or which rows come and go when.

Each prompt's keys and values are held once. A row holds only those of the tokens that it has drawn itself. In a
decoding step all rows of a prompt ask it together, so that its keys are read once; each row asks its own tokens apart;
one softmax goes over both. That is the attention over prompt and answer, exactly. No model's code is touched:
transformers calls what is registered under a model's `_attn_implementation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache
from transformers.cache_utils import CacheLayerMixin

from rewardmodel.core.attention import RowRuns, tree_attention

SHARED_PROMPTS: Final = "margin_shared_prompts"
COLUMNS: Final = 64  # caches grow by so many tokens at least
# What an attention may be asked for beside the plain product; whoever asks for it is refused, and falls back.
UNKNOWN_HERE: Final = ("softcap", "sliding_window", "s_aux", "head_mask", "position_bias")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Standing:
    """How the rows of a step stand to the prompts; the same in every layer.

    Attributes:
        rows: how many there are, B.
        prompts: how many prompts there are, G. Each has as many places, K, as the one with most rows has rows.
        row_at: for each of the G·K places the row that stands there (any, where none does), or None where the rows
            stand in that order already.
        place_of: for each row its place, or None.
        width: tokens of the longest prompt.
        drawn: tokens of its own that each row has cached before the step, shape [B].
        longest: the most of them, with the step's own.
        hidden: what a row does not see, of prompt and own tokens, bool [B, 1, 1, width + longest]; None: nothing.
    """

    rows: int
    prompts: int
    row_at: Tensor | None
    place_of: Tensor | None
    width: int
    drawn: Tensor
    longest: int
    hidden: Tensor | None


def stand(prompt_of: Sequence[int], lengths: Sequence[int], drawn: Sequence[int], device: Any) -> Standing:
    """Where rows stand, from the number of each row's prompt, the prompts' lengths and the rows' own tokens."""
    places: list[list[int]] = [[] for _ in lengths]
    for row, prompt in enumerate(prompt_of):
        places[prompt].append(row)
    most = max(len(rows) for rows in places)
    row_at = [row for rows in places for row in [*rows, *[0] * (most - len(rows))]]
    as_they_are = row_at == list(range(len(prompt_of)))
    place_of = [0] * len(prompt_of)
    for prompt, rows in enumerate(places):
        for number, row in enumerate(rows):
            place_of[row] = prompt * most + number
    own = torch.tensor(drawn, device=device)
    width, longest = max(lengths), max(drawn) + 1
    hidden = None
    if len(set(lengths)) > 1 or len(set(drawn)) > 1:
        seen = torch.tensor([lengths[prompt] for prompt in prompt_of], device=device)
        beyond_prompt = torch.arange(width, device=device) >= seen[:, None]
        beyond_own = torch.arange(longest, device=device) > own[:, None]
        hidden = torch.cat([beyond_prompt, beyond_own], dim=1)[:, None, None]
    return Standing(
        rows=len(prompt_of),
        prompts=len(lengths),
        row_at=None if as_they_are else torch.tensor(row_at, device=device),
        place_of=None if as_they_are else torch.tensor(place_of, device=device),
        width=width,
        drawn=own,
        longest=longest,
        hidden=hidden,
    )


class SharedLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # transformers annotates no such hook
    """One layer's keys and values: `prompt_*` [prompts, heads, tokens, width of a head], and `keys`, `values` of the
    rows' own tokens. Room is made in advance, filled with zeros: what is hidden must be a number."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.prompt_keys: Tensor | None = None
        self.prompt_values: Tensor | None = None
        self.standing: Standing | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def store_prompt(self, number: int, keys: Tensor, values: Tensor) -> None:
        """`keys` and `values` [heads, tokens, width of a head] become those of prompt `number`."""
        length = keys.shape[1]
        self.prompt_keys = _roomy(self.prompt_keys, number + 1, length, keys[None])
        self.prompt_values = _roomy(self.prompt_values, number + 1, length, values[None])
        self.prompt_keys[number, :, :length] = keys
        self.prompt_values[number, :, :length] = values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add the step's token to each row; the rows' own keys and values [rows, heads, longest, width]."""
        step = _required(self.standing)
        self.keys = _roomy(self.keys, step.rows, step.longest, key_states)
        self.values = _roomy(self.values, step.rows, step.longest, value_states)
        number = torch.arange(step.rows, device=key_states.device)
        self.keys[number, :, step.drawn] = key_states[:, :, 0]
        self.values[number, :, step.drawn] = value_states[:, :, 0]
        return self.keys[: step.rows, :, : step.longest], self.values[: step.rows, :, : step.longest]

    def move_row(self, source: int, target: int, length: int) -> None:
        for shelf in (self.keys, self.values):
            if shelf is not None and length:
                shelf[target, :, :length] = shelf[source, :, :length]

    def move_prompt(self, source: int, target: int, length: int) -> None:
        for shelf in (_required(self.prompt_keys), _required(self.prompt_values)):
            shelf[target, :, :length] = shelf[source, :, :length]

    def get_seq_length(self) -> int:
        step = _required(self.standing)
        return step.width + step.longest - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1


class SharedCache(Cache):
    """What a decoding step hands to the model as `past_key_values`, and to the attention as `shared`."""

    def __init__(self, layers: int) -> None:
        self.shared: list[SharedLayer] = [SharedLayer() for _ in range(layers)]
        super().__init__(layers=list(self.shared))

    def stand(self, standing: Standing) -> None:
        for layer in self.shared:
            layer.standing = standing


def _roomy(shelf: Tensor | None, rows: int, columns: int, like: Tensor) -> Tensor:
    """`shelf`, or a larger one with the same content, that holds `rows` of `columns` tokens."""
    if shelf is not None and shelf.shape[0] >= rows and shelf.shape[2] >= columns:
        return shelf
    old_rows, old_columns = (0, 0) if shelf is None else (shelf.shape[0], shelf.shape[2])
    rows = _more(rows, old_rows)
    columns = -(-_more(columns, old_columns) // COLUMNS) * COLUMNS
    heads, width = like.shape[1], like.shape[3]
    larger = like.new_zeros(rows, heads, columns, width)
    if shelf is not None:
        larger[:old_rows, :, :old_columns] = shelf
    return larger


def _more(wanted: int, there: int) -> int:
    """Half as much again where it has to grow, so that growing one by one does not copy everything each time."""
    return there if wanted <= there else max(wanted, there + there // 2)


def attend_shared(query: Tensor, key: Tensor, value: Tensor, layer: SharedLayer, scale: float) -> Tensor:
    """Attention of one token a row, over the row's prompt and its own tokens.

    Args:
        query: shape [rows, heads, 1, width of a head].
        key, value: the rows' own, shape [rows, key heads, longest, width of a head].

    Returns:
        Shape [rows, 1, heads, width of a head].
    """
    step = _required(layer.standing)
    heads, width = key.shape[1], query.shape[3]
    asked = (query * scale).reshape(step.rows, heads, -1, width)  # heads that share a key head stand together
    prompt_keys = _required(layer.prompt_keys)[: step.prompts, :, : step.width]
    prompt_values = _required(layer.prompt_values)[: step.prompts, :, : step.width]
    of_prompt = _to_rows(_to_places(asked, step) @ prompt_keys.transpose(2, 3), step)
    scores = torch.cat([of_prompt, asked @ key.transpose(2, 3)], dim=-1).float()
    if step.hidden is not None:
        scores = scores.masked_fill_(step.hidden, -torch.inf)
    weights = scores.softmax(dim=-1).to(value.dtype)
    read = _to_rows(_to_places(weights[..., : step.width], step) @ prompt_values, step)
    read = read + weights[..., step.width :] @ value
    return read.reshape(step.rows, 1, -1, width)


def _to_places(states: Tensor, step: Standing) -> Tensor:
    """[rows, heads, shared by a head, n] to [prompts, heads, places · shared, n]: who asks one prompt asks together."""
    standing = states if step.row_at is None else states[step.row_at]
    _, heads, shared, last = standing.shape
    by_prompt = standing.view(step.prompts, -1, heads, shared, last).transpose(1, 2)
    return by_prompt.reshape(step.prompts, heads, -1, last)


def _to_rows(states: Tensor, step: Standing) -> Tensor:
    """The way back."""
    _, heads, together, last = states.shape
    places = (step.rows if step.place_of is None else len(_required(step.row_at))) // step.prompts
    by_place = states.view(step.prompts, heads, places, together // places, last).transpose(1, 2)
    standing = by_place.reshape(step.prompts * places, heads, together // places, last)
    return standing if step.place_of is None else standing[step.place_of]


def shared_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    shared: SharedCache | None = None,
    row_runs: RowRuns | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer: prompts are read packed in one row, steps by `attend_shared`.

    Raises:
        ValueError: the model asks for more than the plain product, or does not hand the arguments on.
    """
    if wanted := [name for name in UNKNOWN_HERE if others.get(name) is not None]:
        raise ValueError(f"{type(module).__name__} wants {', '.join(wanted)}")
    if row_runs is not None:
        return tree_attention(module, query, key, value, attention_mask, scaling=scaling, row_runs=row_runs)
    if shared is None or query.shape[2] != 1:
        raise ValueError(f"{type(module).__name__} does not hand shared prompts on to its attention")
    untyped: Any = module
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    return attend_shared(query, key, value, shared.shared[untyped.layer_idx], scale), None


def _required(value: _T | None) -> _T:
    if value is None:
        raise ValueError("no rows stand before these prompts yet")
    return value


AttentionInterface.register(SHARED_PROMPTS, shared_attention)
