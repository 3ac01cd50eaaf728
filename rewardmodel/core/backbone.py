"""Model directories and dialogues turned into modules and token ids: the one place where both happen.

Knows transformers, chat templates and devices. Must not know rewards, losses or runs. Training, scoring and
sampling all encode through here, so that their templates cannot differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from annotation.core.records import Message
from rewardmodel.core.files import sha256_of

ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"

# Tried in this order where a tokenizer pads with the end of the turn, or has no padding at all.
PAD_TOKENS: Final = (
    "<|endoftext|>",
    "<pad>",
    "<|pad|>",
    "[PAD]",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_0|>",
    "<unk>",
)


# What reads weights quantised by others. GGUF needs nothing more: it is unpacked when a model is imported.
QUANTIZERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gptq": ("optimum", "gptqmodel"),
        "awq": ("gptqmodel",),
        "bitsandbytes": ("bitsandbytes",),
    }
)


class UnstableTemplateError(ValueError):
    """An answer changes how a chat template renders the prompt before it."""


@dataclass(frozen=True)
class PolicyRef:
    """A policy version on disk. `base` is the directory of the base weights where `path` holds an adapter.

    `endpoint` is the address of an OpenAI-compatible server that answers for it, `endpoint_model` what that calls it.
    """

    name: str
    path: Path
    base: Path | None
    endpoint: str | None = None
    endpoint_model: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PolicyRef:
        base = data.get("base")
        return cls(
            name=data["name"],
            path=Path(data["path"]),
            base=None if base is None else Path(base),
            endpoint=data.get("endpoint"),
            endpoint_model=data.get("endpoint_model"),
        )

    def to_json(self) -> dict[str, str | None]:
        served = {"endpoint": self.endpoint, "endpoint_model": self.endpoint_model}
        return {
            "name": self.name,
            "path": str(self.path),
            "base": None if self.base is None else str(self.base),
            **{key: value for key, value in served.items() if value is not None},
        }

    @property
    def is_adapter(self) -> bool:
        return (self.path / ADAPTER_CONFIG).is_file()


def pick_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to compute on; auto takes a GPU where there is one.

    Raises:
        ValueError: if a GPU was asked for by name and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device is available; choose auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


def load_tokenizer(ref: PolicyRef) -> PreTrainedTokenizerBase:
    """The policy's tokenizer, whose pad token differs from its end of turn.

    With pad = EOS the end of a response cannot be told from the padding after it, and a score is read one
    token too early.

    Raises:
        ValueError: if the vocabulary offers no other token for padding.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        ref.path, local_files_only=True, trust_remote_code=False
    )
    ensure_padding(tokenizer)
    return tokenizer


def ensure_padding(tokenizer: PreTrainedTokenizerBase) -> None:
    """Give the tokenizer a pad token of its vocabulary that is not its EOS token (see load_tokenizer)."""
    if tokenizer.pad_token is not None and tokenizer.pad_token != tokenizer.eos_token:
        return
    vocabulary = tokenizer.get_vocab()
    for token in PAD_TOKENS:
        if token in vocabulary and token != tokenizer.eos_token:
            tokenizer.pad_token = token
            return
    raise ValueError("the tokenizer has no token for padding other than its end-of-sequence token")


def load_causal_lm(ref: PolicyRef, device: torch.device, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The policy in evaluation mode.

    An adapter that can be merged (LoRA) is merged into the base weights; one that cannot (LLaMA-Adapter), and one on
    quantised weights, which would be rounded again, stays in its modules. `dtype` is by default float32 on a CPU, where
    packed and padded scores must agree, and bfloat16 on a GPU. Attention is SDPA: the eager one is silently wrong with
    a boolean 4-D mask.

    Raises:
        ValueError: if an adapter comes without its base weights, or not as safetensors, or cannot be used; or if the
            weights are quantised and what reads them is not installed.
    """
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    weights = _base_weights(ref)
    quantized = _require_quantization(weights)
    model: Any = AutoModelForCausalLM.from_pretrained(
        weights,
        dtype=dtype,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        **({"device_map": {"": device}} if quantized else {}),
    )
    if ref.is_adapter:
        model = _with_adapter(model, ref, merged=not quantized)
    ready: PreTrainedModel = model.eval() if quantized else model.to(device).eval()
    return ready


def _with_adapter(model: PreTrainedModel, ref: PolicyRef, *, merged: bool) -> PreTrainedModel:
    adapted: Any = PeftModel.from_pretrained(model, str(ref.path))
    config = adapted.active_peft_config
    if config.is_prompt_learning:
        raise ValueError(
            f"{ref.name} is an adapter of the kind {config.peft_type.value}, which writes into a prompt; LoRA and "
            "LLaMA-Adapter are read"
        )
    ready: PreTrainedModel = (
        adapted.merge_and_unload()
        if merged and hasattr(adapted.base_model, "merge_and_unload")
        else adapted.get_base_model()
    )
    return ready


def _require_quantization(weights: Path) -> bool:
    """Whether the weights are quantised.

    Raises:
        ValueError: what reads them is not installed.
    """
    path = weights / "config.json"
    settings = json.loads(path.read_bytes()).get("quantization_config") if path.is_file() else None
    if not settings:
        return False
    method = str(settings.get("quant_method", "bitsandbytes"))
    missing = [name for name in QUANTIZERS.get(method, ()) if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"{weights.name} holds weights quantised by {method}, which need {' and '.join(missing)}: pip install "
            f"{' '.join(missing)}, or import the model unquantised or as GGUF"
        )
    return True


def _base_weights(ref: PolicyRef) -> Path:
    if not ref.is_adapter:
        return ref.path
    if ref.base is None:
        raise ValueError(f"{ref.name} is an adapter; its base weights are needed too")
    if not (ref.path / ADAPTER_WEIGHTS).is_file():
        raise ValueError(f"{ref.name} has no {ADAPTER_WEIGHTS}; weights are read as safetensors only")
    return ref.base


def backbone_of(model: PreTrainedModel) -> PreTrainedModel:
    """The decoder without the LM head: a reward needs hidden states, never the vocabulary's logits."""
    backbone = model.base_model
    if backbone is model or not isinstance(backbone, PreTrainedModel):
        raise ValueError(f"{type(model).__name__} has no decoder below a head")
    return backbone


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of the dialogue and the opening of the assistant's turn.

    The template itself writes a BOS token where it wants one; the tokenizer adds no second one.
    """
    return _ids(tokenizer, _render(tokenizer, messages, open_turn=True))


def encode_response(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], text: str) -> list[int]:
    """Token ids that follow `encode_prompt(tokenizer, messages)`: the response and its end-of-turn token.

    What a template writes behind that token is cut off: a model that samples never sees it.

    Raises:
        UnstableTemplateError: if an answer changes how the template renders the prompt.
        ValueError: if the template does not end an answer with EOS.
    """
    opened = _render(tokenizer, messages, open_turn=True)
    whole = _render_answered(tokenizer, messages, text)
    if not whole.startswith(opened):
        raise UnstableTemplateError(
            "the chat template is not prefix-stable: an answer changes how its prompt is rendered"
        )
    prompt = _ids(tokenizer, opened)
    together = _ids(tokenizer, whole)
    if together[: len(prompt)] == prompt:
        return _up_to_end_of_turn(tokenizer, together[len(prompt) :])
    # A response that begins with white space may merge with the prompt's last token. A model that samples
    # continues the prompt's tokens, hence so do we.
    return _up_to_end_of_turn(tokenizer, _ids(tokenizer, whole[len(opened) :]))


def encode_answered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], text: str) -> list[int]:
    """Token ids of the dialogue and the response together, up to the end of its turn, whatever comes first.

    Raises:
        ValueError: if the template does not end an answer with EOS.
    """
    return _up_to_end_of_turn(tokenizer, _ids(tokenizer, _render_answered(tokenizer, messages, text)))


def stop_token_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> list[int]:
    """Ids that end a response, ascending: the tokenizer's EOS and those of the generation config."""
    configured = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    return sorted(i for i in ids if i is not None)


def fingerprint(path: Path) -> str:
    """SHA-256 over the names and bytes of a directory's weight files (`*.safetensors`).

    Raises:
        ValueError: if there are none.
    """
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise ValueError(f"{path.name} holds no safetensors")
    digest = hashlib.sha256()
    for file in weights:
        digest.update(f"{file.name}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, open_turn: bool) -> str:
    harmless = [{"role": m["role"], "content": _without_specials(tokenizer, m["content"])} for m in messages]
    rendered: Any = tokenizer.apply_chat_template(harmless, tokenize=False, add_generation_prompt=open_turn)
    return str(rendered)


def _render_answered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], text: str) -> str:
    answer: Message = {"role": "assistant", "content": text}
    return _render(tokenizer, [*messages, answer], open_turn=False)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _up_to_end_of_turn(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    end = tokenizer.eos_token_id
    if end not in ids:
        raise ValueError("the chat template does not end an answer with the tokenizer's EOS token")
    return ids[: len(ids) - ids[::-1].index(end)]


def _without_specials(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """`text` in which a written-out special token is text: somebody who types <|im_end|> ends no turn."""
    return _specials(tokenizer).sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


@lru_cache(maxsize=8)
def _specials(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    longest_first = sorted(tokens | set(tokenizer.all_special_tokens), key=lambda token: (-len(token), token))
    return re.compile("|".join(re.escape(token) for token in longest_first) or r"(?!)")
