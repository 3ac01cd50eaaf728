"""A small Llama trained from scratch on what the crowd of the toy world writes, in about a minute on a CPU.

Knows an architecture, a vocabulary of words and the corpus. Must not know who uses it. It speaks the world's language
from badly to well, so that feedback has something to choose from.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final, cast

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from annotation.core.toy_world import WORDS, requests, written_answer
from rewardmodel.core.backbone import encode_prompt, encode_response
from rewardmodel.core.report import Reporter

PAD: Final = "<|endoftext|>"
TURN: Final = "<|im_start|>"
END: Final = "<|im_end|>"
UNKNOWN: Final = "<|unknown|>"
ROLES: Final = ("system", "user", "assistant")
TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|> ' + message['role'] + ' ' + message['content'] + ' <|im_end|> ' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|> assistant ' }}{% endif %}"
)

STEPS: Final = 500
ROWS: Final = 96  # answers a step
LEARNING_RATE: Final = 3e-3
WARM_UP: Final = 30


def build_toy(directory: Path, *, seed: int, report: Reporter, steps: int = STEPS) -> float:
    """Write a policy directory (config, safetensors, tokenizer, generation config); returns the last step's loss.

    The same seed writes the same bytes on one machine. A word that the world does not have is unknown.
    """
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(_config(tokenizer))
    rng = Random(seed)  # noqa: S311 - a corpus is no secret
    loss = _train(model, tokenizer, rng, steps, report)
    model.save_pretrained(directory)
    generation: Any = GenerationConfig  # its constructor is not annotated
    ids = {name: getattr(tokenizer, name) for name in ("eos_token_id", "pad_token_id")}
    generation(do_sample=True, top_k=0, **ids).save_pretrained(directory)
    return loss


def _train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, rng: Random, steps: int, report: Reporter
) -> float:
    """Next-token prediction over whole dialogues: prompts are the world's language too."""
    asked = [request for request in requests() if not request.held_out]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=min(0.5, WARM_UP / steps)
    )
    loss = 0.0
    for step in range(steps):
        rows = [
            _row(tokenizer, request.text, written_answer(request, rng))
            for request in rng.choices(asked, k=ROWS)
        ]
        found = _loss(model, rows, cast("int", tokenizer.pad_token_id))
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss = found.item()
        report.metric("loss", loss, step + 1)
        report.progress(step + 1, steps, "steps")
        report.check()
    return loss


def _row(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> list[int]:
    messages: Any = [{"role": "user", "content": question}]
    return [*encode_prompt(tokenizer, messages), *encode_response(tokenizer, messages, answer)]


def _loss(model: LlamaForCausalLM, rows: list[list[int]], pad: int) -> Tensor:
    """Mean cross-entropy of a token, in nats; rows are filled up on the right, where causal attention never looks."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    untyped: Any = model
    logits = untyped(input_ids=ids[:, :-1], use_cache=False).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), ignore_index=pad)


def _config(tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _tokenizer() -> PreTrainedTokenizerBase:
    """One token a word, in the order of the world's words."""
    entries = [UNKNOWN, *ROLES, *WORDS]
    inner = Tokenizer(WordLevel({word: number for number, word in enumerate(entries)}, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens([PAD, TURN, END])
    fast: Any = PreTrainedTokenizerFast  # its constructor is not annotated
    tokenizer: PreTrainedTokenizerBase = fast(
        tokenizer_object=inner,
        bos_token=TURN,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        chat_template=TEMPLATE,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer
