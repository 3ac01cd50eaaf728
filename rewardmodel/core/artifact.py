"""The reward model as a directory: head, adapter or weights, and a manifest that names what it was made from.

Knows files and how a network is put together from them. Must not know data, losses or runs.

Every recipe keeps its head in `head.safetensors`, apart from what it changed of the backbone, so that no way
of saving a backbone can lose it. A probe or an adapter is nothing without its backbone's weights and
tokenizer; their hashes are kept, and other ones are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from annotation.core.records import canonical_json
from rewardmodel.core.adapters import save_adapter
from rewardmodel.core.backbone import (
    ADAPTER_WEIGHTS,
    PolicyRef,
    backbone_of,
    fingerprint,
    load_causal_lm,
)
from rewardmodel.core.network import Pooling, RewardNetwork, lower_layers
from rewardmodel.core.quantized import load_in_four_bits
from rewardmodel.core.reading import choose_attention
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.spec import Recipe, TrainRewardModelSpec

HEAD: Final = "head.safetensors"
ADAPTER: Final = "adapter"
MODEL: Final = "model"


def backbone_identity(ref: PolicyRef, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Name and hashes of the policy that a reward model stands on."""
    sha256 = fingerprint(ref.path)
    if ref.is_adapter and ref.base is not None:
        sha256 = hashlib.sha256(f"{sha256}{fingerprint(ref.base)}".encode()).hexdigest()
    text = canonical_json([tokenizer.chat_template, tokenizer.get_vocab()])
    return {"name": ref.name, "sha256": sha256, "tokenizer_sha256": hashlib.sha256(text.encode()).hexdigest()}


def build_network(
    ref: PolicyRef, spec: TrainRewardModelSpec, *, pad: int, device: torch.device, seed: int
) -> RewardNetwork:
    """The network to train. What learns requires a gradient; the head is in float32 and drawn from `seed`.

    A probe's backbone is cut at `layer_fraction` and frozen; its head is fitted, never drawn.
    """
    torch.manual_seed(seed)
    backbone = backbone_of(_policy_to_train(ref, spec, device))
    width = int(backbone.config.hidden_size)
    if spec.recipe is Recipe.PROBE:
        cut = lower_layers(backbone, spec.layer_fraction).requires_grad_(False)
        return _network(cut, width, Pooling.LAST_AND_MEAN, pad, device)
    learning: nn.Module = backbone
    if spec.recipe is Recipe.LORA:
        learning = get_peft_model(backbone, lora_config(spec))
    network = _network(learning, width, Pooling.LAST, pad, device)
    nn.init.normal_(network.head.weight, std=(width + 1) ** -0.5)
    nn.init.zeros_(network.head.bias)
    return network


def _policy_to_train(ref: PolicyRef, spec: TrainRewardModelSpec, device: torch.device) -> PreTrainedModel:
    """The policy as the recipe wants it."""
    if spec.quantization == "4bit":
        if spec.recipe is not Recipe.LORA:
            raise RunFailedError(f"quantization 4bit goes with the recipe lora, not with {spec.recipe}.")
        return load_in_four_bits(ref, device)
    dtype = None if spec.recipe is Recipe.PROBE else torch.float32  # small steps vanish in bfloat16 weights
    return load_causal_lm(ref, device, dtype)


def lora_config(spec: TrainRewardModelSpec) -> LoraConfig:
    """Adapters on every linear layer, without dropout: a resumed run must see the same network."""
    return LoraConfig(
        r=spec.lora_rank,
        lora_alpha=2 * spec.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
    )


def save_network(network: RewardNetwork, recipe: Recipe, directory: Path, ref: PolicyRef) -> None:
    """Write what was learnt into `directory`; the manifest is the caller's."""
    head = {"weight": network.head.weight.detach().cpu(), "bias": network.head.bias.detach().cpu()}
    save_file(head, directory / HEAD)
    if recipe is Recipe.LORA:
        assert isinstance(network.backbone, PeftModel)  # noqa: S101  # built so above
        (directory / ADAPTER).mkdir()
        save_adapter(network.backbone, directory / ADAPTER, ref)
    elif recipe is Recipe.FULL:
        assert isinstance(network.backbone, PreTrainedModel)  # noqa: S101  # built so above
        network.backbone.save_pretrained(directory / MODEL)


def load_network(
    directory: Path, manifest: Mapping[str, Any], ref: PolicyRef, *, pad: int, device: torch.device
) -> RewardNetwork:
    """The trained network, in evaluation mode."""
    spec = TrainRewardModelSpec.model_validate(manifest["params"])
    dtype = _dtype(manifest, device)
    head = load_file(directory / HEAD)
    backbone: nn.Module
    if spec.recipe is Recipe.FULL:
        model = AutoModel.from_pretrained(
            directory / MODEL,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        backbone, width = model, int(model.config.hidden_size)
    else:
        # On a GPU a 4-bit backbone is read as it was learnt on; a CPU reads the weights that it was made from.
        four_bits = spec.quantization == "4bit" and device.type == "cuda"
        model = backbone_of(
            load_in_four_bits(ref, device) if four_bits else load_causal_lm(ref, device, dtype)
        )
        backbone, width = model, int(model.config.hidden_size)
        if spec.recipe is Recipe.PROBE:
            backbone = lower_layers(model, spec.layer_fraction)
        else:
            backbone = _load_adapter(model, directory / ADAPTER)
    pooling = Pooling.LAST_AND_MEAN if spec.recipe is Recipe.PROBE else Pooling.LAST
    network = _network(backbone, width, pooling, pad, device)
    network.head.to(head["weight"].dtype).load_state_dict(head)
    return network.requires_grad_(False).eval()


def _network(
    backbone: nn.Module, width: int, pooling: Pooling, pad: int, device: torch.device
) -> RewardNetwork:
    choose_attention(backbone, device)
    return RewardNetwork(backbone, width=width, pooling=pooling, pad=pad).to(device)


def _dtype(manifest: Mapping[str, Any], device: torch.device) -> torch.dtype:
    """A probe is read in the dtype its features were computed in; else the device's usual one."""
    if manifest["recipe"] == Recipe.PROBE and manifest["dtype"] == "float32":
        return torch.float32
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def _load_adapter(backbone: PreTrainedModel, directory: Path) -> nn.Module:
    if not (directory / ADAPTER_WEIGHTS).is_file():
        raise RunFailedError(f"The reward model's adapter has no {ADAPTER_WEIGHTS}.")
    adapted: nn.Module = PeftModel.from_pretrained(backbone, str(directory))
    return adapted
