"""From scores to steps: what an answer teaches, and that a policy learns it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.core.grades import Focus
from rewardmodel.core.backbone import PolicyRef
from rewardmodel.core.report import RunFailedError
from training.core.ppo_experience import Experience, Judges, Scores, observe, score
from training.core.ppo_rollout import Answer, Prompt
from training.core.ppo_update import accumulate, make_optimizer, mini_batches, update
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic
from training.tests.ppo_examples import Always, Curves, Fond, actor_of, reinforcement

SPEC = PpoSpec(recipe="full", mini_batch=2, gae_decay=0.5, kl_weight=0.0)


def _nothing() -> None: ...


def _prompt(name: str, focus: Focus = Focus.HELPFULNESS) -> Prompt:
    return Prompt(name, ({"role": "user", "content": name},), focus, (40, 41, 42))


def _answer(ids: tuple[int, ...], *, complete: bool = True, focus: Focus = Focus.HELPFULNESS) -> Answer:
    return Answer(_prompt("d", focus), ids, "", complete)


ANSWERS = (_answer((50, 51, 258)), _answer((50, 258)), _answer((52, 53, 54), complete=False), _answer((258,)))


def _scores(*combined: float) -> Scores:
    tensor = torch.tensor(combined, dtype=torch.float64)
    return Scores(tensor, tensor, tensor)


def _observed(
    actor: ActorCritic, scores: Scores, spec: PpoSpec = SPEC
) -> tuple[Experience, dict[str, float]]:
    return observe(actor, ANSWERS, scores, spec, budget=1000, check=_nothing)


# Scores


def test_safety_scores_where_the_prompt_asks_for_it() -> None:
    answers = [_answer((258,)), _answer((258,), focus=Focus.SAFETY)]
    found = score(Judges(Always(1.0), Always(2.0)), answers)
    assert found.combined.tolist() == pytest.approx([1.0, 2.0])
    assert (found.helpfulness.tolist(), found.safety.tolist()) == ([1.0, 1.0], [2.0, 2.0])


def test_a_reward_that_is_no_number_is_an_error() -> None:
    with pytest.raises(RunFailedError, match="no number for dialogue d"):
        score(Judges(Always(math.nan), Always(2.0)), [_answer((258,))])


# Experience


def test_the_score_reaches_every_token_of_an_answer(tiny: PolicyRef) -> None:
    # Scores 1, 2, 3, 6 whiten to -1.069045, -0.534522, 0, 1.603567. The critic says 0, the decay is ½, and nothing is
    # paid for KL: the last token's advantage is the score, each one before it half of that. These are the returns too.
    experience, _ = _observed(actor_of(tiny), _scores(1.0, 2.0, 3.0, 6.0))
    expected = [[-0.267261, -0.534522, -1.069045], [-0.267261, -0.534522, 0], [0, 0, 0], [1.603567, 0, 0]]
    torch.testing.assert_close(
        experience.returns.double(), torch.tensor(expected).double(), rtol=0, atol=1e-5
    )
    assert experience.mask.sum(dim=1).tolist() == [3, 2, 3, 1]


def test_advantages_are_whitened_over_the_tokens_of_the_batch(tiny: PolicyRef) -> None:
    experience, _ = _observed(actor_of(tiny), _scores(1.0, 2.0, 3.0, 6.0))
    kept = experience.advantages[experience.mask]
    assert kept.mean().item() == pytest.approx(0, abs=1e-6)
    assert kept.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_an_answer_that_was_cut_pays_its_penalty_before_whitening(tiny: PolicyRef) -> None:
    # The third answer was cut: 3 - 2 = 1, as the first. Its one return at the last token is that of a 1.
    spec = SPEC.model_copy(update={"cut_penalty": 2.0})
    experience, figures = _observed(actor_of(tiny), _scores(1.0, 2.0, 3.0, 6.0), spec)
    assert experience.returns[2, 2].item() == pytest.approx(experience.returns[0, 2].item())
    assert figures["reward"] == 3.0  # which is told without penalties
    assert figures["cut"] == 0.25


def test_a_policy_at_its_start_pays_nothing_for_kl(tiny: PolicyRef) -> None:
    spec = SPEC.model_copy(update={"kl_weight": 100.0})
    experience, figures = _observed(actor_of(tiny), _scores(1.0, 2.0, 3.0, 6.0), spec)
    assert figures["kl"] == pytest.approx(0, abs=1e-6)
    assert experience.returns[3, 0].item() == pytest.approx(1.603567, abs=1e-3)


def test_the_passes_in_which_answers_are_read_change_nothing(tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    one = observe(actor, ANSWERS, _scores(1.0, 2.0, 3.0, 6.0), SPEC, budget=1, check=_nothing)[0]
    all_together = _observed(actor, _scores(1.0, 2.0, 3.0, 6.0))[0]
    torch.testing.assert_close(one.log_probs, all_together.log_probs, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.advantages, all_together.advantages, rtol=0, atol=1e-4)


def test_the_figures_of_an_iteration(tiny: PolicyRef) -> None:
    _, figures = _observed(actor_of(tiny), _scores(1.0, 2.0, 3.0, 6.0))
    assert set(figures) == {
        "reward", "helpfulness", "safety", "kl", "entropy", "length", "cut", "explained_variance"
    }  # fmt: skip
    assert figures["length"] == 9 / 4
    assert 0 < figures["entropy"] < math.log(259)


# Steps


def test_every_answer_is_learnt_from_once_an_epoch_in_another_order() -> None:
    # 5 answers in steps of 2: 2 + 2 + 1, twice.
    steps = list(mini_batches(5, SPEC.model_copy(update={"epochs": 2}), [0, 0]))
    assert [len(step) for step in steps] == [2, 2, 1, 2, 2, 1]
    first, second = ([number for step in half for number in step] for half in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(5))
    assert first != second


def test_before_the_first_step_no_token_has_moved(tiny: PolicyRef) -> None:
    # Every ratio is 1: the loss is minus the mean of the advantages, which is 0 over the whole batch.
    actor = actor_of(tiny)
    experience, _ = _observed(actor, _scores(1.0, 2.0, 3.0, 6.0))
    losses = accumulate(actor, experience, range(4), SPEC, budget=1000, check=_nothing)
    assert losses.clipped == 0
    assert losses.policy == pytest.approx(0, abs=1e-5)
    # ½ R² of the nine tokens: R² = 0.0714, 0.2857, 1.1429, 0.0714, 0.2857, 0, 0, 0, 2.5714, which sum to 4.4286.
    assert losses.value == pytest.approx(4.4286 / 2 / 9, abs=1e-4)


def test_the_cut_into_passes_does_not_change_the_gradient(tiny: PolicyRef) -> None:
    gradients = []
    for budget in (1, 7, 1000):
        actor = actor_of(tiny)
        experience, _ = _observed(actor, _scores(1.0, 2.0, 3.0, 6.0))
        accumulate(actor, experience, range(4), SPEC, budget=budget, check=_nothing)
        gradients.append([p.grad for p in actor.parameters() if p.requires_grad])
    for gradient in gradients[1:]:
        for one, other in zip(gradients[0], gradient, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_the_gradient_is_that_of_a_plain_computation(tiny: PolicyRef) -> None:
    # At ratio 1 the gradient of the policy loss is that of -A · ln π, token by token, over the number of tokens.
    spec = SPEC.model_copy(update={"value_weight": 0.0})
    actor, plain = actor_of(tiny), actor_of(tiny)
    experience, _ = _observed(actor, _scores(1.0, 2.0, 3.0, 6.0))
    accumulate(actor, experience, range(4), spec, budget=1000, check=_nothing)
    loss = torch.zeros(())
    untyped: Any = plain.model
    with plain.sampling():
        for number, row in enumerate(experience.rows):
            log_p = untyped(torch.tensor([row.tokens])).logits[0].log_softmax(dim=-1)
            for place, index in enumerate(range(row.start, len(row.tokens))):
                loss = loss - experience.advantages[number, place] * log_p[index - 1, row.tokens[index]] / 9
    loss.backward()  # type: ignore[no-untyped-call]
    for one, other in zip(actor.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_what_scored_well_becomes_more_likely(tiny: PolicyRef) -> None:
    actor, spec = actor_of(tiny), SPEC.model_copy(update={"mini_batch": 4})
    experience, _ = _observed(actor, _scores(1.0, 1.0, 1.0, 6.0))
    update(actor, make_optimizer(actor, spec), experience, spec, seed=[0], budget=1000, check=_nothing)
    after, _ = _observed(actor, _scores(1.0, 1.0, 1.0, 6.0))
    assert after.log_probs[3, 0] > experience.log_probs[3, 0]
    wrong = (after.values - experience.returns)[experience.mask]
    assert wrong.square().mean() < experience.returns[experience.mask].square().mean()


def test_a_loss_that_is_no_number_ends_the_run_before_the_step(tiny: PolicyRef) -> None:
    actor = actor_of(tiny)
    experience, _ = _observed(actor, _scores(1.0, 2.0, 3.0, 6.0))
    broken = replace(experience, advantages=experience.advantages * math.nan)
    before = [parameter.clone() for parameter in actor.parameters()]
    with pytest.raises(RunFailedError, match=r"run away.*lower learning_rate than 1e-05"):
        update(actor, make_optimizer(actor, SPEC), broken, SPEC, seed=[0], budget=1000, check=_nothing)
    assert all(torch.equal(one, other) for one, other in zip(before, actor.parameters(), strict=True))


# The loop


@pytest.mark.parametrize(("recipe", "rate"), [("full", 3e-3), ("lora", 2e-2)])
def test_the_policy_learns_what_the_reward_model_likes_and_stays_near_its_start(
    tmp_path: Path, tiny: PolicyRef, recipe: str, rate: float
) -> None:
    report = Curves()
    history = reinforcement(
        tmp_path, tiny, report, Judges(Fond(), Fond()), recipe=recipe, learning_rate=rate, kl_weight=0.2,
        iterations=10, prompts=16, prompts_per_iteration=32, mini_batch=8, held_out=4, measure_every=5,
        max_new_tokens=8, lora_rank=8,
    ).run()  # fmt: skip
    rewards = report.curves["reward"]
    # The letter is a thirtieth of what the tiny policy writes: 4 / 30 = 0.13.
    assert rewards[0] < 0.3
    assert sum(rewards[-4:]) / 4 > 0.8
    # Without a penalty KL goes to 8 ln 30 = 27 nats, where an answer is that letter alone.
    assert 0.5 < max(report.curves["kl"]) < 8
    assert history.start is not None
    assert history.best is not None
    assert history.best > history.start + 0.5


def test_without_held_out_prompts_the_last_policy_is_kept(tmp_path: Path, tiny: PolicyRef) -> None:
    report = Curves()
    history = reinforcement(
        tmp_path, tiny, report, Judges(Fond(), Always(5.0)), held_out=0, iterations=2
    ).run()
    assert (history.iteration, history.stopped, history.best) == (2, "iterations", None)
    assert report.notes == [
        "No prompt is held out: the run goes on to its last iteration, and keeps its policy."
    ]


def test_it_stops_where_the_held_out_prompts_gain_nothing(tmp_path: Path, tiny: PolicyRef) -> None:
    report = Curves()
    history = reinforcement(
        tmp_path, tiny, report, Judges(Always(1.0), Always(5.0)), iterations=9, measure_every=1, patience=2
    ).run()
    assert (history.iteration, history.stopped, history.best_iteration) == (2, "no gain", 0)
    assert len(report.curves["held_out_reward"]) == 3


def test_it_stops_where_the_policy_has_left_its_start_and_says_so(tmp_path: Path, tiny: PolicyRef) -> None:
    report = Curves()
    history = reinforcement(
        tmp_path, tiny, report, Judges(Fond(), Always(5.0)), kl_limit=1e-4, learning_rate=1e-2
    ).run()
    assert (history.iteration, history.stopped) == (1, "kl")
    assert ["beyond kl_limit" in note for note in report.notes] == [True]
