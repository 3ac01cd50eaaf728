"""A backbone in four bits, for adapters that learn on top of it (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

Knows bitsandbytes through transformers and PEFT. Must not know rewards, losses or files of our own.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError

BETTER = "Train with quantization none, or on a machine that can."


def load_in_four_bits(ref: PolicyRef, device: torch.device) -> PreTrainedModel:
    """The policy frozen as 4-bit NormalFloat with double quantisation; what is not a matrix is in float32.

    Raises:
        RunFailedError: without a GPU or bitsandbytes, or where the policy is an adapter, which would have to be merged
            into weights that are rounded already.
    """
    if device.type != "cuda":
        raise RunFailedError(f"quantization 4bit computes on a GPU alone, and there is none here. {BETTER}")
    if find_spec("bitsandbytes") is None:
        raise RunFailedError(
            f"quantization 4bit wants the package bitsandbytes, which is not installed. {BETTER}"
        )
    if ref.is_adapter:
        raise RunFailedError(
            f"{ref.name} is an adapter, and 4-bit weights cannot take it up. Train with quantization none, or on a "
            "policy that is no adapter."
        )
    settings: Any = BitsAndBytesConfig  # its constructor is not annotated
    model: Any = AutoModelForCausalLM.from_pretrained(
        ref.path,
        quantization_config=settings(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
        device_map={"": device},
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    prepare: Any = prepare_model_for_kbit_training
    ready: PreTrainedModel = prepare(model, use_gradient_checkpointing=False).eval()
    return ready
