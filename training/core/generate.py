"""Responses of a policy: the Protocol that sampling needs, and its in-process transformers backend.

Knows prompts, temperatures, seeds and batches. Must not know what the responses are for, nor files other than
the policy's own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

import torch
from transformers import (
    AutoConfig,
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
)

from annotation.core.records import Message
from rewardmodel.core.backbone import (
    PolicyRef,
    backbone_of,
    encode_prompt,
    load_causal_lm,
    load_tokenizer,
    stop_token_ids,
)
from rewardmodel.core.report import Reporter, RunFailedError, Silent
from rewardmodel.core.rows import RowEncoder
from training.core.gumbel import Draw, GumbelMax

FinishReason = Literal["stop", "length"]
Ids = tuple[int, ...]

SILENT: Final = Silent()
_NO_LIMIT: Final = 2**31


@dataclass(frozen=True, slots=True)
class Request:
    """One response to draw. Temperature 0 is greedy; `seed` is the row's own; lengths are in tokens."""

    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    seed: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One response. `tokens` counts the text's, without the end-of-turn token.

    `finish_reason` is "stop" where the model ended its turn and "length" where it was cut. `seconds` run from
    the start of the row's batch to the row's last token: what the response would have made somebody wait.
    """

    text: str
    tokens: int
    finish_reason: FinishReason
    seconds: float


class Generator(Protocol):
    """A backend that draws responses of one policy."""

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        """Chunks of indices to pass to `generate`, every index once; fixed by the requests alone."""

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        """One sample a request, in their order. A request's sample depends on nothing but the request.

        Asks `reporter.check()` as often as it can stop.
        """

    def close(self) -> None:
        """Give the memory back."""


class LocalGenerator:
    """transformers in this process. The model is loaded at the first `generate`, so that planning is cheap."""

    def __init__(self, ref: PolicyRef, device: torch.device, tokens_per_batch: int) -> None:
        self._ref = ref
        self._device = device
        self._budget = tokens_per_batch
        self._tokenizer = load_tokenizer(ref)
        config = AutoConfig.from_pretrained(
            ref.base or ref.path, local_files_only=True, trust_remote_code=False
        )
        self._window: int = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
        self._prompts: dict[tuple[Any, ...], Ids] = {}
        self._model: PreTrainedModel | None = None

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        prompts = [self._prompt(request) for request in requests]
        return plan_batches(prompts, [request.max_new_tokens for request in requests], self._budget)

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        """One batch: `requests` should be a chunk of `plan`.

        The samples of one prompt share its prefill: each distinct prompt goes through the model once, and its
        keys and values are then repeated for its rows.
        """
        model = self._load()
        started = time.perf_counter()
        prompts = [self._prompt(request) for request in requests]
        distinct = list(dict.fromkeys(prompts))
        ids, mask = pad_left(distinct, cast("int", self._tokenizer.pad_token_id), self._device)
        place = {prompt: index for index, prompt in enumerate(distinct)}
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self._device)
        stops = stop_token_ids(self._tokenizer, model)
        draw = GumbelMax(
            [Draw(request.temperature, request.top_p, request.seed) for request in requests],
            stops=stops,
            device=self._device,
            check=reporter.check,
        )
        untyped: Any = model  # transformers annotates its generate as something that cannot be called
        with torch.inference_mode():
            cache = _prefill(model, ids, mask)
            cache.batch_select_indices(rows)
            output = untyped.generate(
                ids[rows],
                attention_mask=mask[rows],
                past_key_values=cache,
                logits_processor=LogitsProcessorList([draw]),
                do_sample=False,
                max_new_tokens=max(request.max_new_tokens for request in requests),
                eos_token_id=stops,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        drawn = output[:, ids.shape[1] :].tolist()
        waits = [moment - started for moment in draw.moments]
        return [
            self._sample(row, request, stops, waits) for row, request in zip(drawn, requests, strict=True)
        ]

    def close(self) -> None:
        if self._model is not None:
            self._model = None
            release_memory()

    def _load(self) -> PreTrainedModel:
        if self._model is None:
            model = load_causal_lm(self._ref, self._device)
            # Penalties and the like in a policy's own generation config would bend the distribution that is
            # sampled here and evaluated elsewhere; its stop tokens are kept.
            stops = stop_token_ids(self._tokenizer, model)
            config: Any = GenerationConfig  # its constructor is not annotated
            model.generation_config = config(eos_token_id=stops)
            self._model = model
        return self._model

    def _prompt(self, request: Request) -> Ids:
        key = (request.max_new_tokens, *((m["role"], m["content"]) for m in request.messages))
        if key not in self._prompts:
            self._prompts[key] = self._encode(request)
        return self._prompts[key]

    def _encode(self, request: Request) -> Ids:
        """The prompt's ids; a dialogue too long for the model loses its oldest exchanges, whole."""
        room = self._window - request.max_new_tokens
        kept = RowEncoder(self._tokenizer, 2 * room).cut(request.messages)  # which gives a prompt half a row
        ids = encode_prompt(self._tokenizer, kept)
        if len(ids) > room:
            raise RunFailedError(
                f"{self._ref.name} sees {self._window} tokens, which leave no room for {request.max_new_tokens} "
                f"new ones after the message that begins {request.messages[-1]['content'][:60]!r}"
            )
        return tuple(ids)

    def _sample(
        self, row: list[int], request: Request, stops: Sequence[int], waits: Sequence[float]
    ) -> Sample:
        row = row[: request.max_new_tokens]
        length = next((i for i, token in enumerate(row) if token in stops), len(row))
        reason: FinishReason = "stop" if length < len(row) else "length"
        decoded = self._tokenizer.decode(
            row[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        # PostgreSQL stores no NUL; a cut between the bytes of one character leaves a replacement character.
        text = cast("str", decoded).replace("\0", "")
        text = text if reason == "stop" else text.rstrip("\ufffd")
        return Sample(text, length, reason, waits[min(length, len(row) - 1)])


def plan_batches(prompts: Sequence[Ids], new_tokens: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of at most `budget` tokens, padding and the longest possible responses included.

    Rows of like prompt length stand together, and rows of the same prompt next to each other, so that they
    share a prefill. A row that exceeds the budget by itself gets a batch of its own.
    """
    first: dict[Ids, int] = {}
    for index, prompt in enumerate(prompts):
        first.setdefault(prompt, index)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), first[prompts[i]], i))
    batches: list[list[int]] = []
    for index in order:
        batch = [*batches[-1], index] if batches else [index]
        width = max(len(prompts[i]) for i in batch) + max(new_tokens[i] for i in batch)
        if batches and len(batch) * width <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def pad_left(prompts: Sequence[Ids], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [prompts, longest], int64: a decoder continues the last column."""
    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """Position ids of left-padded rows [rows, length]: each row counts from its own first token."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def release_memory() -> None:
    """Return what nobody refers to any more, on a GPU also to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _prefill(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> DynamicCache:
    """Keys and values of all but the last column, which `generate` computes itself to get the first logits."""
    cache = DynamicCache(config=model.config)
    if ids.shape[1] > 1:
        backbone_of(model)(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions_of(mask)[:, :-1],
            past_key_values=cache,
            use_cache=True,
        )
    return cache
