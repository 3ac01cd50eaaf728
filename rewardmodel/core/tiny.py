"""A random two-layer Llama made in a moment, so that everything can be tried without a download.

Knows an architecture, a byte-level vocabulary and a template. Must not know who uses it. Its answers are
nonsense, but printable and of finite length, which a purely random model's are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from rewardmodel.core.files import write_manifest

PAD: Final = "<|endoftext|>"
TURN: Final = "<|im_start|>"
END: Final = "<|im_end|>"
PAD_ID, TURN_ID, END_ID = 256, 257, 258  # the ids below are the bytes themselves

CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build_tiny(directory: Path, seed: int = 0) -> None:
    """Write a policy directory (config, safetensors, tokenizer, generation_config, manifest) below 1 MB.

    The same seed writes the same bytes. Any text is encodable: its UTF-8 bytes are its ids.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    _model(seed, len(tokenizer)).save_pretrained(directory)
    generation: Any = GenerationConfig  # its constructor is not annotated
    generation(do_sample=True, top_k=0, eos_token_id=END_ID, pad_token_id=PAD_ID).save_pretrained(directory)
    write_manifest(
        directory,
        {
            "kind": "policy",
            "source": "tiny",
            "parent": None,
            "template": "chatml",
            "code_version": "",
            "seed": seed,
        },
    )


def _tokenizer() -> PreTrainedTokenizerBase:
    vocabulary = {character: byte for byte, character in enumerate(_byte_characters())}
    inner = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([PAD, TURN, END])
    fast: Any = PreTrainedTokenizerFast  # its constructor is not annotated
    tokenizer: PreTrainedTokenizerBase = fast(
        tokenizer_object=inner,
        bos_token=TURN,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHATML,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def _byte_characters() -> list[str]:
    """The character by which the ByteLevel pre-tokenizer writes each byte (GPT-2's table).

    Printable bytes of Latin-1 stand for themselves; the others follow from U+0100 on, in order.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def _model(seed: int, vocabulary_size: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,  # with the usual 0.02 every token is about as likely as any other
        tie_word_embeddings=False,
        bos_token_id=TURN_ID,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    _speak_printable_ascii(model)
    return model


@torch.no_grad()
def _speak_printable_ascii(model: LlamaForCausalLM) -> None:
    """Bias the logits, though a Llama has no biases: channel 0 of the residual stream carries a constant.

    Nothing but the embedding writes to the channel, so that column 0 of the LM head acts as a bias: against
    all that is not printable ASCII (a NUL is not storable in PostgreSQL), and for the end of the turn.
    """
    model.model.embed_tokens.weight[:, 0] = 4.0
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight[0] = 0.0
        layer.mlp.down_proj.weight[0] = 0.0
    bias = torch.full((model.config.vocab_size,), -32.0)
    bias[32:127] = 0.0
    bias[END_ID] = 0.5
    model.lm_head.weight[:, 0] = bias
