"""Policies that are more than a folder of weights: adapters of both kinds, and weights quantised by others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaptionPromptConfig, LoraConfig, PrefixTuningConfig, get_peft_model

from annotation.core.records import Message
from rewardmodel.core import backbone
from rewardmodel.core.backbone import PolicyRef, encode_prompt, load_causal_lm, load_tokenizer
from rewardmodel.core.report import RunFailedError
from training.core.generate import LocalGenerator, Request
from training.core.gumbel import Chooser, Draw, choose
from training.core.lanes import SharedPrompts

CPU = torch.device("cpu")
QUESTION: Message = {"role": "user", "content": "Why?"}


def _adapter(tiny: PolicyRef, folder: Path, config: Any) -> tuple[PolicyRef, Any]:
    """An adapter that says something of its own, as a policy and as PEFT has it."""
    adapted: Any = get_peft_model(load_causal_lm(tiny, CPU), config)
    draw = torch.Generator().manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_" in name or "adaption_" in name:
            weight.data = torch.randn(weight.shape, generator=draw)
    adapted.save_pretrained(folder)
    load_tokenizer(tiny).save_pretrained(folder)
    return PolicyRef("adapted", folder, tiny.path), adapted.eval()


LORA = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
LLAMA_ADAPTER = AdaptionPromptConfig(adapter_len=3, adapter_layers=2, task_type="CAUSAL_LM")


@pytest.mark.parametrize("config", [LORA, LLAMA_ADAPTER], ids=["lora", "llama-adapter"])
def test_an_adapted_policy_says_what_peft_says(tiny: PolicyRef, tmp_path: Path, config: Any) -> None:
    ref, adapted = _adapter(tiny, tmp_path / "adapter", config)
    generator = LocalGenerator(ref, CPU, 4096)
    request = Request((QUESTION,), 1.0, 1.0, 3, 12)
    samples = generator.generate([request, request])
    assert generator._rows is not None
    assert isinstance(generator._rows(), SharedPrompts)
    ids = encode_prompt(load_tokenizer(tiny), [QUESTION])
    drawn: list[int] = []
    chooser = Chooser(Draw(1.0, 1.0, 3), CPU)
    while len(drawn) < 12:
        with torch.inference_mode():
            logits = adapted(input_ids=torch.tensor([ids + drawn]), use_cache=False).logits[:, -1]
        (token,) = choose(logits, [chooser])
        if token == 258:
            break
        drawn.append(token)
    expected = str(load_tokenizer(tiny).decode(drawn)).rstrip("\ufffd")
    assert [sample.text for sample in samples] == [expected] * 2
    assert samples[0].text != LocalGenerator(tiny, CPU, 4096).generate([request])[0].text


def test_lora_is_merged_and_llama_adapter_stays(tiny: PolicyRef, tmp_path: Path) -> None:
    for name, config, stays in (("lora", LORA, False), ("adapter", LLAMA_ADAPTER, True)):
        ref, _ = _adapter(tiny, tmp_path / name, config)
        names = [key for key, _ in load_causal_lm(ref, CPU).named_parameters()]
        assert any("lora_" in key or "adaption_" in key for key in names) is stays


def test_an_adapter_that_writes_into_the_prompt_is_refused(tiny: PolicyRef, tmp_path: Path) -> None:
    ref, _ = _adapter(tiny, tmp_path / "p", PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    with pytest.raises(RunFailedError, match=r"PREFIX_TUNING.*LoRA and LLaMA-Adapter are read"):
        LocalGenerator(ref, CPU, 4096).generate([Request((QUESTION,), 0.0, 1.0, 0, 2)])


@pytest.mark.parametrize(
    ("method", "wanted"), [("gptq", "optimum and gptqmodel"), ("bitsandbytes", "bitsandbytes")]
)
def test_quantised_weights_name_the_packages_that_read_them(
    tiny: PolicyRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, wanted: str
) -> None:
    shutil.copytree(tiny.path, tmp_path / "q")
    config = tmp_path / "q" / "config.json"
    settings = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": settings}))
    monkeypatch.setattr(backbone, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=f"quantised by {method}, which need {wanted}: pip install"):
        load_causal_lm(PolicyRef("q", tmp_path / "q", None), CPU)
