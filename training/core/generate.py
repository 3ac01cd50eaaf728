"""Responses of a policy: the Protocol that sampling needs, and its in-process transformers backend.

Knows prompts, temperatures, seeds, stop strings and batches. Must not know what the responses are for, nor files other
than the policy's own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer, stop_token_ids
from rewardmodel.core.report import Reporter, RunFailedError, Silent
from training.core.batching import BATCHES_A_CHUNK, PromptEncoder, plan_batches
from training.core.decoding import Ask, Decoding, FinishReason, Rows
from training.core.gumbel import Draw
from training.core.lanes import choose_rows

SILENT: Final = Silent()
PACE_SECONDS: Final = 2.0  # between two points of the curve of tokens a second
SPECIAL_TOKENS: Final = 8  # that may stand within a stop string and are no part of the text


@dataclass(frozen=True, slots=True)
class Request:
    """One response to draw. Temperature 0 is greedy; `seed` is the row's own; lengths are in tokens.

    A response ends before the first of the strings `stop` that it comes to say.
    """

    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    seed: int
    max_new_tokens: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One response. `tokens` counts the text's, without the end-of-turn token.

    `finish_reason` is "stop" where the model ended its turn or came to a stop string (whose tokens are counted), and
    "length" where it was cut. `seconds` run from when the row joined those at work to its last token: what the
    response would have made somebody wait.
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

        Asks `reporter.check()` as often as it can stop, and tells progress in responses and tokens a second.
        """

    def close(self) -> None:
        """Give the memory back."""


class Pace:
    """Tokens a second, told while the work goes on; the step of the curve is the tokens drawn so far."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._drawn = 0
        self._told = 0
        self._since = 0.0

    def begin(self) -> None:
        """What was not told is dropped: between two chunks nothing is drawn."""
        self._since, self._told = self._clock(), self._drawn

    def drew(self, tokens: int, reporter: Reporter) -> None:
        self._drawn += tokens
        if self._clock() - self._since >= PACE_SECONDS:
            self.tell(reporter)

    def tell(self, reporter: Reporter) -> None:
        """The speed since the last time."""
        seconds = self._clock() - self._since
        if self._drawn > self._told and seconds > 0:
            reporter.metric("tokens_per_second", (self._drawn - self._told) / seconds, self._drawn)
            self.begin()


class LocalGenerator:
    """transformers in this process. The model is loaded at the first `generate`, so that planning is cheap."""

    def __init__(self, ref: PolicyRef, device: torch.device, tokens_per_batch: int) -> None:
        self._ref = ref
        self._device = device
        self._budget = tokens_per_batch
        self._tokenizer = load_tokenizer(ref)
        self._encode = PromptEncoder(ref, self._tokenizer)
        self._pace = Pace()
        self._model: PreTrainedModel | None = None
        self._rows: Callable[[], Rows] | None = None

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        prompts = [self._encode(request.messages, request.max_new_tokens) for request in requests]
        longest = [request.max_new_tokens for request in requests]
        return plan_batches(prompts, longest, BATCHES_A_CHUNK * self._budget)

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        """`requests` should be a chunk of `plan`. Those of one prompt share its prefill and its keys and values."""
        model = self._load()
        asks = [
            Ask(
                self._encode(request.messages, request.max_new_tokens),
                Draw(request.temperature, request.top_p, request.seed),
                request.max_new_tokens,
            )
            for request in requests
        ]
        with torch.inference_mode():
            if self._rows is None:
                pad = cast("int", self._tokenizer.pad_token_id)
                self._rows = choose_rows(model, pad=pad, device=self._device)
            self._pace.begin()
            drawn = self._decoding(self._rows(), model, asks, requests, reporter).run()
            self._pace.tell(reporter)
        return [
            Sample(
                response_text(self._tokenizer, answer.tokens, answer.finish_reason, request.stop),
                len(answer.tokens),
                answer.finish_reason,
                answer.seconds,
            )
            for answer, request in zip(drawn, requests, strict=True)
        ]

    def close(self) -> None:
        if self._model is not None:
            self._model = self._rows = None
            release_memory()

    def _decoding(
        self,
        rows: Rows,
        model: PreTrainedModel,
        asks: Sequence[Ask],
        requests: Sequence[Request],
        reporter: Reporter,
    ) -> Decoding:
        def ended(index: int, tokens: Sequence[int]) -> bool:
            return says_stop(self._tokenizer, tokens, requests[index].stop)

        def watch(finished: int, tokens: int) -> None:
            self._pace.drew(tokens, reporter)
            reporter.progress(finished, len(requests), "responses")
            reporter.check()

        return Decoding(
            rows,
            asks,
            device=self._device,
            budget=self._budget,
            stops=stop_token_ids(self._tokenizer, model),
            ended=ended,
            watch=watch,
        )

    def _load(self) -> PreTrainedModel:
        if self._model is None:
            try:
                model = load_causal_lm(self._ref, self._device)
            except ValueError as error:  # what cannot be used, in a sentence
                raise RunFailedError(f"{self._ref.name} cannot be loaded: {error}") from error
            # Penalties and the like in a policy's own generation config would bend the distribution that is
            # sampled here and evaluated elsewhere; its stop tokens are kept.
            stops = stop_token_ids(self._tokenizer, model)
            config: Any = GenerationConfig  # its constructor is not annotated
            model.generation_config = config(eos_token_id=stops)
            self._model = model
        return self._model


def says_stop(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], stop: Sequence[str]) -> bool:
    """Whether the newest of `tokens` completed one of the strings. Only so many are looked at as can be part of it."""
    if not stop:
        return False
    reach = max(len(string.encode()) for string in stop) + SPECIAL_TOKENS
    text = _decoded(tokenizer, tokens[-reach:])
    return any(string in text for string in stop) and _first_stop(_decoded(tokenizer, tokens), stop) >= 0


def response_text(
    tokenizer: PreTrainedTokenizerBase,
    tokens: Sequence[int],
    reason: FinishReason,
    stop: Sequence[str] = (),
) -> str:
    """The text of drawn tokens, up to the first stop string."""
    # PostgreSQL stores no NUL; a cut between the bytes of one character leaves a replacement character.
    text = _decoded(tokenizer, tokens).replace("\0", "")
    if reason == "length":
        return text.rstrip("\ufffd")
    at = _first_stop(text, stop)
    return text if at < 0 else text[:at]


def _first_stop(text: str, stop: Sequence[str]) -> int:
    return min((at for string in stop if (at := text.find(string)) >= 0), default=-1)


def _decoded(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    decoded = tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return cast("str", decoded)


def release_memory() -> None:
    """Return what nobody refers to any more, on a GPU also to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
