"""What PPO reads of answers: the same numbers as row by row, and the start beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rewardmodel.core.backbone import PolicyRef, load_causal_lm
from rewardmodel.core.layout import plan_batches
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.rows import Row
from training.core.value_head import ActorCritic
from training.tests.ppo_examples import actor_of

# Two answers to one prompt, one of them longer, and one to another.
ROWS = (Row((40, 41, 42, 50, 51), 3), Row((40, 41, 42, 50, 52, 53, 54), 3), Row((60, 61, 258), 2))


def _expected(model: Any, row: Row) -> torch.Tensor:
    """ln p of the answer's tokens, from all logits of one row."""
    with torch.inference_mode():
        logits = model(torch.tensor([row.tokens])).logits[0].log_softmax(dim=-1)
    return torch.stack([logits[i - 1, row.tokens[i]] for i in range(row.start, len(row.tokens))])


def _read(actor: ActorCritic) -> Any:
    (batch,) = plan_batches([[row.tokens] for row in ROWS], tokens_per_batch=1000)
    return batch, actor.read(batch, ROWS)


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_log_probabilities_are_those_of_rows_read_alone(tiny: PolicyRef, recipe: str) -> None:
    actor, model = actor_of(tiny, recipe), load_causal_lm(tiny, torch.device("cpu"))
    batch, read = _read(actor)
    for place, number in enumerate(batch.rows):
        length = len(ROWS[number].tokens) - ROWS[number].start
        assert read.mask[place].tolist() == [True] * length + [False] * (4 - length)
        torch.testing.assert_close(
            read.log_probs[place, :length], _expected(model, ROWS[number]), rtol=0, atol=1e-5
        )
        assert not read.log_probs[place, length:].any()


def test_a_new_critic_expects_nothing(tiny: PolicyRef) -> None:
    _, read = _read(actor_of(tiny))
    assert not read.values.any()


def test_entropy_is_that_of_the_distribution_before_each_token(tiny: PolicyRef) -> None:
    model: Any = load_causal_lm(tiny, torch.device("cpu"))
    batch, read = _read(actor_of(tiny))
    with torch.inference_mode():
        logits = model(torch.tensor([ROWS[2].tokens])).logits[0, 1]
    log_p = logits.log_softmax(dim=-1)
    expected = -(log_p.exp() * log_p).sum()
    torch.testing.assert_close(read.entropy[batch.rows.index(2), 0], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_the_reference_stays_when_the_policy_moves(tiny: PolicyRef, recipe: str) -> None:
    actor = actor_of(tiny, recipe)
    batch, before = _read(actor)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in actor.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    reference = actor.reference_log_probs(batch, ROWS)
    torch.testing.assert_close(reference, before.log_probs, rtol=0, atol=1e-5)
    assert (actor.read(batch, ROWS).log_probs - reference).abs().max() > 0.01


def test_adapters_need_no_second_model_and_alone_learn_beside_the_critic(tiny: PolicyRef) -> None:
    actor = actor_of(tiny, "lora")
    assert actor.reference is None
    learning = {name for name, parameter in actor.named_parameters() if parameter.requires_grad}
    assert {"value.weight", "value.bias"} < learning
    assert all("lora_" in name for name in learning if not name.startswith("value."))


def test_the_critic_teaches_the_policys_own_layers(tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    torch.nn.init.ones_(actor.value.weight)
    _, read = _read(actor)
    read.values.square().sum().backward()
    parameters = dict(actor.model.named_parameters())
    assert parameters["lm_head.weight"].grad is None
    taught = parameters["model.embed_tokens.weight"].grad
    assert taught is not None
    assert taught.abs().max() > 0


def test_sampling_borrows_the_models_attention_and_gives_it_back(tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    config: Any = actor.model.config
    with actor.sampling() as model:
        inner: Any = model.config
        assert inner._attn_implementation == "sdpa"
    assert config._attn_implementation == actor.attention != "sdpa"


def test_a_model_that_changes_its_heads_logits_is_refused(
    tiny: PolicyRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_causal_lm(tiny, torch.device("cpu"))
    forward = type(model).forward

    def capped(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.logits = output.logits.tanh()
        return output

    monkeypatch.setattr(type(model), "forward", capped)
    with pytest.raises(RunFailedError, match="changes what comes out of its head"):
        actor_of(tiny)
