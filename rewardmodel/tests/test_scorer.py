"""Scoring with a stored reward model: the same text, the same numbers, and no other backbone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from annotation.core.records import Message
from rewardmodel.core.backbone import PolicyRef, backbone_of, load_causal_lm, load_tokenizer
from rewardmodel.core.files import read_manifest, write_manifest
from rewardmodel.core.report import RunFailedError, Silent
from rewardmodel.core.rows import RowEncoder
from rewardmodel.core.scorer import load
from rewardmodel.core.spec import TrainRewardModelSpec
from rewardmodel.core.tiny import build_tiny
from rewardmodel.core.train import train
from rewardmodel.tests.examples import make_record, write_snapshot

RECIPES = ("probe", "lora", "full")
ASKED: list[Message] = [{"role": "user", "content": "What is a prime number?"}]

Made = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def reward_model(tiny: PolicyRef, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A reference to a reward model of a recipe, trained on a dozen pairs; never write into it."""
    root = tmp_path_factory.mktemp("reward-models")
    snapshot = write_snapshot(root / "snapshot", [make_record(n) for n in range(12)])
    made: dict[str, dict[str, Any]] = {}

    def make(recipe: str) -> dict[str, Any]:
        if recipe not in made:
            work = root / recipe / "work"
            work.mkdir(parents=True)
            train(
                spec=TrainRewardModelSpec.model_validate(
                    {"focus": "helpfulness", "recipe": recipe, "max_length": 256, "learning_rate": 0.01}
                ),
                inputs={"snapshot": str(snapshot), "backbone": tiny.to_json(), "name": recipe},
                seed=0,
                device="cpu",
                code_version="test",
                work=work,
                output=root / recipe / "output",
                report=Silent(),
            )
            path = str(root / recipe / "output")
            made[recipe] = {"name": recipe, "path": path, "backbone": tiny.to_json()}
        return made[recipe]

    return make


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stored_model_gives_the_metrics_it_was_stored_with(reward_model: Made, recipe: str) -> None:
    reference = reward_model(recipe)
    records = [make_record(n) for n in range(12)]
    scores = load(reference, device="cpu").score([(r.messages, (r.chosen, r.rejected)) for r in records])
    credit = [0.5 if a == b else float(a > b) for a, b in scores]
    assert sum(credit) / 12 == read_manifest(Path(reference["path"]))["metrics"]["accuracy"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_score_does_not_depend_on_what_is_scored_beside_it(reward_model: Made, recipe: str) -> None:
    scorer = load(reward_model(recipe), device="cpu", tokens_per_batch=512)
    answers = ["A number with two divisors.", "A number.", "", "No idea, " * 40, "A number."]
    (together,) = scorer.score([(ASKED, answers)])
    alone = [scorer.score([(ASKED, [answer])])[0][0] for answer in answers]
    assert together == pytest.approx(alone, abs=3e-5)  # a fitted head magnifies the rounding
    assert together[1] == together[4]


def test_groups_keep_their_order_and_size(reward_model: Made) -> None:
    scorer = load(reward_model("probe"), device="cpu", tokens_per_batch=64)
    other: list[Message] = [{"role": "user", "content": "And an even one?"}]
    groups = [(other, ["Two times something.", "Yes."]), (ASKED, []), (ASKED, ["a", "b", "c"])]
    scores = scorer.score(groups)
    assert [len(group) for group in scores] == [2, 0, 3]
    assert scores[2] == pytest.approx(scorer.score([(ASKED, ["a", "b", "c"])])[0], abs=3e-5)
    assert scorer.score([]) == []


def test_the_reward_is_read_at_the_end_of_turn_and_not_before_it(tiny: PolicyRef, reward_model: Made) -> None:
    """The probe's reward again, from the plain model: last token and mean of the response, below the cut."""
    reference = reward_model("probe")
    text = "A number with two divisors."
    (row,) = RowEncoder(load_tokenizer(tiny), 256).rows(ASKED, [text])
    model = backbone_of(load_causal_lm(tiny, torch.device("cpu")))
    with torch.no_grad():
        states = model(torch.tensor([row.tokens]), output_hidden_states=True).hidden_states
    # 0.6 of two layers is one: the states after the first layer.
    read = torch.cat([states[1][0, -1], states[1][0, row.start :].mean(0)]).double()
    assert row.tokens[-1] == load_tokenizer(tiny).eos_token_id
    head = torch_head(reference)
    expected = float(read @ head["weight"][0] + head["bias"][0])
    assert load(reference, device="cpu").score([(ASKED, [text])])[0] == pytest.approx([expected], abs=3e-5)


def torch_head(reference: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return dict(load_file(Path(reference["path"]) / "head.safetensors"))


def copy_of(reference: Mapping[str, Any], tmp_path: Path) -> dict[str, Any]:
    target = tmp_path / "copy"
    shutil.copytree(reference["path"], target)
    return {**reference, "path": str(target)}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_lost_or_changed_head_is_refused(reward_model: Made, recipe: str, tmp_path: Path) -> None:
    reference = copy_of(reward_model(recipe), tmp_path)
    (tmp_path / "copy" / "head.safetensors").unlink()
    with pytest.raises(RunFailedError, match=r"lacks head\.safetensors"):
        load(reference, device="cpu")


def test_another_backbone_is_refused(reward_model: Made, tmp_path: Path) -> None:
    build_tiny(tmp_path / "other", seed=1)
    other = PolicyRef("other", tmp_path / "other", None)
    with pytest.raises(RunFailedError, match="was trained on tiny"):
        load({**reward_model("probe"), "backbone": other.to_json()}, device="cpu")


def test_another_chat_template_is_refused(tiny: PolicyRef, reward_model: Made, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "other")
    (template,) = (tmp_path / "other").glob("chat_template.jinja")
    template.write_text(template.read_text().replace("assistant\n", "assistant:\n"))
    other = PolicyRef("tiny", tmp_path / "other", None)
    with pytest.raises(RunFailedError, match="tokenizer"):
        load({**reward_model("probe"), "backbone": other.to_json()}, device="cpu")


def test_a_policy_is_no_reward_model(tiny: PolicyRef) -> None:
    with pytest.raises(RunFailedError, match="is not a reward model"):
        load({"name": "tiny", "path": str(tiny.path), "backbone": tiny.to_json()}, device="cpu")


def test_an_adapter_as_a_pickle_is_refused(reward_model: Made, tmp_path: Path) -> None:
    reference = copy_of(reward_model("lora"), tmp_path)
    adapter = tmp_path / "copy" / "adapter"
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    fields = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    del fields["files"]
    write_manifest(tmp_path / "copy", fields)
    with pytest.raises(RunFailedError, match=r"has no adapter_model\.safetensors"):
        load(reference, device="cpu")


def test_the_adapter_changes_what_the_backbone_says(reward_model: Made, tmp_path: Path) -> None:
    """An adapter that is silently not loaded would leave plausible scores."""
    reference = copy_of(reward_model("lora"), tmp_path)
    file = tmp_path / "copy" / "adapter" / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(file).items()}, file)
    fields = read_manifest(tmp_path / "copy")
    del fields["files"]
    write_manifest(tmp_path / "copy", fields)
    without = load(reference, device="cpu").score([(ASKED, ["A number."])])[0][0]
    with_it = load(reward_model("lora"), device="cpu").score([(ASKED, ["A number."])])[0][0]
    assert without != pytest.approx(with_it, abs=1e-3)
