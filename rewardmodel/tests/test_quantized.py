"""QLoRA: what it needs is said before anything is loaded. On a GPU it has yet to be tried."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
import torch

from rewardmodel.core import quantized
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from rewardmodel.tests.pairs import tiny_network


def test_four_bits_without_a_gpu_are_refused(tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match=r"computes on a GPU alone.*quantization none"):
        tiny_network(tiny, "lora", quantization="4bit")


@pytest.mark.parametrize("recipe", ["probe", "full"])
def test_four_bits_go_with_adapters_alone(tiny: PolicyRef, recipe: str) -> None:
    with pytest.raises(RunFailedError, match=f"goes with the recipe lora, not with {recipe}"):
        tiny_network(tiny, recipe, quantization="4bit")


def test_four_bits_without_bitsandbytes_are_refused(tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda _: None)
    with pytest.raises(RunFailedError, match="bitsandbytes, which is not installed"):
        quantized.load_in_four_bits(tiny, torch.device("cuda"))


def test_an_adapter_is_not_merged_into_rounded_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda _: util.find_spec("json"))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(RunFailedError, match="V2 is an adapter"):
        quantized.load_in_four_bits(PolicyRef("V2", tmp_path, tmp_path), torch.device("cuda"))
