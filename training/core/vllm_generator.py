"""Responses by vLLM in this process (Kwon et al. 2023, arXiv 2309.06180), where it is installed.

Knows vLLM's offline interface. Must not know what the responses are for. vLLM is no dependency: it is imported when the
first response is drawn. Prompts are encoded here, as for every backend, and shared by their rows through its prefix
caching; every row has a seed of its own.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Sequence
from typing import Any, Final

import torch

from rewardmodel.core.backbone import ADAPTER_CONFIG, PolicyRef, load_tokenizer
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.batching import PromptEncoder, in_groups
from training.core.decoding import FinishReason
from training.core.generate import SILENT, Pace, Request, Sample, release_memory, response_text

ROWS_A_CHUNK: Final = 512  # vLLM batches by itself; a chunk is what a kill may cost


class VllmGenerator:
    """One policy in vLLM, over all visible GPUs (tensor parallel). Loaded at the first `generate`."""

    def __init__(self, ref: PolicyRef, *, seed: int) -> None:
        self._ref = ref
        self._seed = seed
        self._tokenizer = load_tokenizer(ref)
        self._encode = PromptEncoder(ref, self._tokenizer)
        self._pace = Pace()
        self._vllm: Any = None
        self._model: Any = None

    def plan(self, requests: Sequence[Request]) -> list[list[int]]:
        order = in_groups([self._encode(r.messages, r.max_new_tokens) for r in requests])
        return [order[at : at + ROWS_A_CHUNK] for at in range(0, len(order), ROWS_A_CHUNK)]

    def generate(self, requests: Sequence[Request], reporter: Reporter = SILENT) -> list[Sample]:
        """One sample a request. It can be stopped before and after, not within.

        Raises:
            RunFailedError: vLLM is not installed, or does not take the policy.
        """
        self._load()
        reporter.check()
        self._pace.begin()
        began = time.perf_counter()
        prompts = [{"prompt_token_ids": list(self._encode(r.messages, r.max_new_tokens))} for r in requests]
        outputs = self._model.generate(
            prompts, [self._sampling(r) for r in requests], use_tqdm=False, lora_request=self._adapter()
        )
        seconds = time.perf_counter() - began
        samples = [
            self._sample(request, output.outputs[0], seconds)
            for request, output in zip(requests, outputs, strict=True)
        ]
        self._pace.drew(sum(sample.tokens for sample in samples), reporter)
        self._pace.tell(reporter)
        reporter.progress(len(requests), len(requests), "responses")
        reporter.check()
        return samples

    def close(self) -> None:
        if self._model is not None:
            self._model = None
            release_memory()

    def _sampling(self, request: Request) -> Any:
        return self._vllm.SamplingParams(
            n=1,  # samples of one prompt have seeds of their own; its prefix cache reads the prompt once
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            max_tokens=request.max_new_tokens,
            stop=list(request.stop) or None,
            stop_token_ids=[self._tokenizer.eos_token_id],
        )

    def _sample(self, request: Request, answer: Any, seconds: float) -> Sample:
        reason: FinishReason = "length" if answer.finish_reason == "length" else "stop"
        tokens = list(answer.token_ids)
        if tokens and tokens[-1] in self._tokenizer.all_special_ids:
            tokens.pop()
        text = response_text(self._tokenizer, tokens, reason, request.stop)
        return Sample(text, len(tokens), reason, seconds)

    def _load(self) -> None:
        if self._model is not None:
            return
        try:
            self._vllm = importlib.import_module("vllm")
        except ImportError as error:
            raise RunFailedError(
                f"backend vllm wants the package vllm, which cannot be imported here ({error}). Install it (pip "
                "install vllm, on a machine with a GPU), or choose backend local or server."
            ) from error
        try:
            self._model = self._vllm.LLM(
                model=str(self._ref.base or self._ref.path),
                tokenizer=str(self._ref.path),
                seed=self._seed,
                enable_prefix_caching=True,
                # The policy's own penalties would bend the distribution; only the tokens that end a turn are ours.
                generation_config="vllm",
                tensor_parallel_size=max(1, torch.cuda.device_count()),
                trust_remote_code=False,
                **self._adapter_settings(),
            )
        except (ValueError, RuntimeError, NotImplementedError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunFailedError(
                f"vLLM does not take {self._ref.name}: {said}. Choose backend local."
            ) from error

    def _adapter_settings(self) -> dict[str, Any]:
        if not self._ref.is_adapter:
            return {}
        config = json.loads((self._ref.path / ADAPTER_CONFIG).read_bytes())
        if config.get("peft_type") != "LORA":
            raise RunFailedError(
                f"{self._ref.name} is an adapter of the kind {config.get('peft_type')}, and vLLM takes LoRA alone. "
                "Choose backend local."
            )
        return {"enable_lora": True, "max_lora_rank": int(config["r"])}

    def _adapter(self) -> Any:
        if not self._ref.is_adapter:
            return None
        request = importlib.import_module("vllm.lora.request")
        return request.LoRARequest(self._ref.name, 1, str(self._ref.path))
