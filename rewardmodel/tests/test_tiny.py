"""The tiny policy: reproducible, small, and able to talk nonsense of finite length."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, cast

import torch

from rewardmodel.core.backbone import PolicyRef, encode_prompt, fingerprint, load_causal_lm, load_tokenizer
from rewardmodel.core.files import verify_manifest
from rewardmodel.core.tiny import build_tiny


def _bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_seed_writes_the_same_bytes(tiny: PolicyRef, tmp_path: Path) -> None:
    build_tiny(tmp_path / "again")
    assert _bytes_of(tmp_path / "again") == _bytes_of(tiny.path)


def test_another_seed_is_another_model(tiny: PolicyRef, tmp_path: Path) -> None:
    build_tiny(tmp_path / "other", seed=1)
    assert fingerprint(tmp_path / "other") != fingerprint(tiny.path)


def test_building_leaves_the_random_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    build_tiny(tmp_path / "tiny")
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_a_complete_policy_directory_below_a_megabyte(tiny: PolicyRef) -> None:
    manifest = verify_manifest(tiny.path)
    assert (manifest["kind"], manifest["source"], manifest["template"]) == ("policy", "tiny", "chatml")
    assert sum(len(content) for content in _bytes_of(tiny.path).values()) < 1_000_000


def test_ids_are_the_bytes_of_any_text(tiny: PolicyRef) -> None:
    tokenizer = load_tokenizer(tiny)
    text = "né\t\0\r\n 日本 " + bytes(range(128)).decode()
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [256, 257, 258]


def test_it_samples_printable_text_and_comes_to_an_end(tiny: PolicyRef) -> None:
    tokenizer, model = load_tokenizer(tiny), load_causal_lm(tiny, torch.device("cpu"))
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "Hello"}])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rows = cast("Any", model).generate(torch.tensor([prompt] * 16), max_new_tokens=120)
    texts = [str(tokenizer.decode(row[len(prompt) :], skip_special_tokens=True)) for row in rows]
    assert set("".join(texts)) <= set(string.printable)
    assert len(set(texts)) > 8, "sampling must vary: generation_config says do_sample"
    assert sum(258 in row[len(prompt) :] for row in rows) > 8
