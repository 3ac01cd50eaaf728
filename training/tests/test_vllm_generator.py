"""What vLLM is asked, with another module in its place: it wants a GPU."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from annotation.core.records import Message
from rewardmodel.core.backbone import ADAPTER_CONFIG, PolicyRef, encode_prompt, load_tokenizer
from rewardmodel.core.report import RunFailedError
from training.core.generate import Request
from training.core.vllm_generator import ROWS_A_CHUNK, VllmGenerator

END = 258  # <|im_end|> of the tiny tokenizer
QUESTION: Message = {"role": "user", "content": "Why?"}


@dataclass
class Vllm:
    """What the module was told. `says` are the tokens of every answer."""

    says: list[int] = field(default_factory=lambda: [*b"So.", END])
    finish: str = "stop"
    refuses: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[Any, Any]] = field(default_factory=list)
    adapter: Any = None


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Vllm:
    told = Vllm()

    class LLM:
        def __init__(self, **settings: Any) -> None:
            if told.refuses:
                raise ValueError(told.refuses)
            told.settings = settings

        def generate(self, prompts: Any, params: Any, *, use_tqdm: bool, lora_request: Any) -> list[Any]:
            assert not use_tqdm
            told.adapter = lora_request
            told.asked += zip(prompts, params, strict=True)
            answer = SimpleNamespace(token_ids=tuple(told.says), finish_reason=told.finish)
            return [SimpleNamespace(outputs=[answer]) for _ in prompts]

    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, lambda **settings: settings
    lora: Any = ModuleType("vllm.lora.request")
    lora.LoRARequest = lambda *given: given
    for name, value in (
        ("vllm", module),
        ("vllm.lora", ModuleType("vllm.lora")),
        ("vllm.lora.request", lora),
    ):
        monkeypatch.setitem(sys.modules, name, value)
    return told


def _ask(seed: int = 3, stop: tuple[str, ...] = ()) -> Request:
    return Request((QUESTION,), 0.7, 0.9, seed, 16, stop)


def test_each_row_is_asked_with_its_own_settings_and_our_template(tiny: PolicyRef, vllm: Vllm) -> None:
    (sample,) = VllmGenerator(tiny, seed=5).generate([_ask(stop=("\n",))])
    (prompt, params), *_ = vllm.asked
    assert prompt == {"prompt_token_ids": encode_prompt(load_tokenizer(tiny), [QUESTION])}
    assert params == {
        "n": 1,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 3,
        "max_tokens": 16,
        "stop": ["\n"],
        "stop_token_ids": [END],
    }
    assert (sample.text, sample.tokens, sample.finish_reason) == ("So.", 3, "stop")


def test_prompts_are_cached_and_the_policys_own_settings_left_out(tiny: PolicyRef, vllm: Vllm) -> None:
    VllmGenerator(tiny, seed=5).generate([_ask()])
    assert vllm.settings["enable_prefix_caching"] is True
    assert vllm.settings["generation_config"] == "vllm"
    assert vllm.settings["trust_remote_code"] is False
    assert (vllm.settings["model"], vllm.settings["seed"]) == (str(tiny.path), 5)


def test_an_answer_that_was_cut_says_so(tiny: PolicyRef, vllm: Vllm) -> None:
    vllm.says, vllm.finish = list(b"So it"), "length"
    (sample,) = VllmGenerator(tiny, seed=5).generate([_ask()])
    assert (sample.text, sample.tokens, sample.finish_reason) == ("So it", 5, "length")


def test_an_adapter_is_asked_by_name(tiny: PolicyRef, vllm: Vllm, tmp_path: Path) -> None:
    ref = _adapter(tiny, tmp_path, {"peft_type": "LORA", "r": 8})
    VllmGenerator(ref, seed=5).generate([_ask()])
    assert vllm.settings["model"] == str(tiny.path)
    assert (vllm.settings["enable_lora"], vllm.settings["max_lora_rank"]) == (True, 8)
    assert vllm.adapter == ("adapted", 1, str(tmp_path / "adapted"))


def test_an_adapter_of_another_kind_is_refused(tiny: PolicyRef, vllm: Vllm, tmp_path: Path) -> None:
    ref = _adapter(tiny, tmp_path, {"peft_type": "ADAPTION_PROMPT"})
    with pytest.raises(RunFailedError, match=r"ADAPTION_PROMPT.*Choose backend local"):
        VllmGenerator(ref, seed=5).generate([_ask()])


def test_a_model_that_vllm_does_not_take_is_named(tiny: PolicyRef, vllm: Vllm) -> None:
    vllm.refuses = "no such architecture\nand a long story"
    with pytest.raises(RunFailedError, match=r"vLLM does not take tiny: no such architecture\. Choose"):
        VllmGenerator(tiny, seed=5).generate([_ask()])


def test_without_the_package_it_says_what_to_do(tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(RunFailedError, match=r"wants the package vllm.*pip install vllm.*local or server"):
        VllmGenerator(tiny, seed=5).generate([_ask()])


def test_planning_loads_nothing(tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    plan = VllmGenerator(tiny, seed=5).plan([_ask(seed) for seed in range(ROWS_A_CHUNK + 1)])
    assert [len(chunk) for chunk in plan] == [ROWS_A_CHUNK, 1]


def _adapter(tiny: PolicyRef, folder: Path, config: dict[str, Any]) -> PolicyRef:
    path = folder / "adapted"
    path.mkdir()
    load_tokenizer(tiny).save_pretrained(path)
    (path / ADAPTER_CONFIG).write_text(json.dumps(config))
    return PolicyRef("adapted", path, tiny.path)
