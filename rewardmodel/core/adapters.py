"""Low-rank adapters as files: one way of making and writing them, for reward models and policies alike.

Knows PEFT. Must not know what an adapter was trained for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

from annotation.core.records import canonical_json
from rewardmodel.core.backbone import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PolicyRef
from rewardmodel.core.files import write_atomically


def save_adapter(model: nn.Module, directory: Path, ref: PolicyRef) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors` into an existing `directory`.

    As PEFT would, but with equal bytes for equal adapters (it writes sets in an order that varies), and with
    the base's name where PEFT would put a path of this machine.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
    save_file(state, directory / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    untyped: Any = model
    settings: LoraConfig = untyped.peft_config["default"]
    settings.save_pretrained(str(directory))
    config = json.loads((directory / ADAPTER_CONFIG).read_bytes())
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = ref.name
    config["inference_mode"] = True
    write_atomically(directory / ADAPTER_CONFIG, canonical_json(config) + "\n")
