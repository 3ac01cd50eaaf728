"""A GGUF file made from a tiny policy, as llama.cpp would store it."""

from __future__ import annotations

from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file

from rewardmodel.core.backbone import PolicyRef, load_tokenizer


def write_gguf(ref: PolicyRef, path: Path) -> None:
    """Write the tiny model's weights as float32, its vocabulary and its template."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(1024)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(259)
    tokenizer = load_tokenizer(ref)
    tokens = tokenizer.convert_ids_to_tokens(list(range(259)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * 3)
    writer.add_token_scores([0.0] * 259)  # an empty list of merges cannot be stored; they follow from scores
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(258)
    writer.add_chat_template(str(tokenizer.chat_template))
    names = {"lm_head.weight": "output.weight", "model.norm.weight": "output_norm.weight"}
    names["model.embed_tokens.weight"] = "token_embd.weight"
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for layer in range(2):
        for ours, theirs in parts.items():
            names[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{theirs}.weight"
    heads = {"attn_q": 4, "attn_k": 2}
    for name, tensor in load_file(ref.path / "model.safetensors").items():
        part = names[name].split(".")[-2]
        writer.add_tensor(
            names[name], _interleaved(tensor, heads[part]).numpy() if part in heads else tensor.numpy()
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """llama.cpp rotates neighbouring channels, transformers the two halves of a head."""
    rows, columns = weight.shape
    return (
        weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns).contiguous()
    )
