"""What a run of each kind costs on paper.

Knows the kinds, their parameters, and how much work there is (`Work`). Must not know rows or files, nor import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, cast

from training.core.estimate import Estimate, Learning, Logits, generation, in_turn, scoring, training
from training.core.estimate_policy import best_of, ppo
from training.core.launch_plan import is_shared
from training.core.sizes import Machine, ModelSize
from training.core.spec import RunKind

Params = Mapping[str, Any]

# Means of the paper's data, in tokens (Table 6): an example with both responses, a prompt and a response.
EXAMPLE_TOKENS: Final = 799
PROMPT_TOKENS: Final = 31
RESPONSE_TOKENS: Final = 234

GPU_BUDGET: Final = (
    16_384  # tokens of a pass where the parameters leave it open, as rewardmodel.core.layout does
)
CPU_BUDGET: Final = 1024

SERVER: Final = "server"  # a backend of sampling that computes elsewhere


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to do.

    Attributes:
        policies: that sample or learn; of a reward model the backbone.
        reward_models: sizes of those that score.
        prompts: that are answered.
        prompt_tokens: of one prompt, its dialogue included, on average.
        examples: pairs or targets that are learnt from or scored.
        example_tokens: distinct tokens of one, on average.
        sharded: the devices hold parts of the weights; `estimate_kind` says so.
    """

    policies: tuple[ModelSize, ...]
    reward_models: tuple[ModelSize, ...] = ()
    prompts: int = 0
    prompt_tokens: int = PROMPT_TOKENS
    examples: int = 0
    example_tokens: int = EXAMPLE_TOKENS
    sharded: bool = False


def estimate_kind(
    kind: RunKind, params: Params, work: Work, machine: Machine, *, sharded: bool = False
) -> Estimate | None:
    """The cost of a run whose parameters are complete; None where nothing can be said.

    `machine` has as many devices as the run may use; a kind that one process computes uses one. `sharded`: those that
    share a training out hold parts of the weights (FSDP).
    """
    formula = FORMULAS.get(kind)
    if formula is None or not (work.policies or work.reward_models):
        return None
    devices = machine if is_shared(kind, params) else machine.times(1)
    found = formula(params, replace(work, sharded=sharded), devices)
    # Workers share a run stage for stage, each with a device and the models of its own; on a CPU they share its cores.
    workers = 1 if machine.is_cpu else min(int(params.get("workers", 1)), machine.count)
    return replace(found, seconds=found.seconds / workers)


def _budget(params: Params, machine: Machine) -> int:
    return int(params.get("tokens_per_batch") or (CPU_BUDGET if machine.is_cpu else GPU_BUDGET))


def _recomputes(params: Params, machine: Machine) -> bool:
    wanted = params.get("gradient_checkpointing", "off")
    return not machine.is_cpu if wanted == "auto" else wanted in ("on", True)


def _learning(params: Params) -> Learning:
    recipe = params.get("recipe", "full")
    return "qlora" if recipe == "qlora" or params.get("quantization") == "4bit" else cast("Learning", recipe)


def _trained(params: Params, work: Work, machine: Machine, logits: Logits) -> Estimate:
    length = min(work.example_tokens, int(params["max_length"]))
    return training(
        work.policies[0],
        machine,
        _learning(params),
        tokens=int(params["epochs"]) * work.examples * length,
        length=length,
        batch_tokens=_budget(params, machine),
        rank=int(params["lora_rank"]),
        checkpointing=_recomputes(params, machine),
        logits=logits,
        sharded=work.sharded,
    )


def _reward_model(params: Params, work: Work, machine: Machine) -> Estimate:
    if params["recipe"] != "probe":
        return _trained(params, work, machine, "none")
    length = min(work.example_tokens, int(params["max_length"]))
    return scoring(
        work.policies[0],
        machine,
        tokens=work.examples * length,
        length=length,
        batch_tokens=_budget(params, machine),
        fraction=float(params["layer_fraction"]),
    )


def _finetuned(params: Params, work: Work, machine: Machine) -> Estimate:
    return _trained(params, work, machine, "parts")


def _scored(params: Params, work: Work, machine: Machine) -> Estimate:
    parts = [
        scoring(
            model,
            machine,
            tokens=work.examples * work.example_tokens,
            length=work.example_tokens,
            batch_tokens=_budget(params, machine),
        )
        for model in work.reward_models
    ]
    return in_turn(parts)


def _drawn(
    params: Params, work: Work, machine: Machine, *, samples: int, read: int | None = None
) -> Estimate:
    """Responses of one policy after the other; `read` tokens stand before each, by default the prompt's."""
    parts = [
        generation(
            policy,
            machine,
            prompts=work.prompts,
            samples=samples,
            prompt_tokens=work.prompt_tokens if read is None else read,
            new_tokens=int(params["max_new_tokens"]),
            batch_tokens=_budget(params, machine),
        )
        for policy in work.policies
    ]
    drawn = in_turn(parts, tokens=sum(part.tokens for part in parts))
    return replace(drawn, memory_bytes=0) if params.get("backend") == SERVER else drawn


def _sampled(params: Params, work: Work, machine: Machine) -> Estimate:
    """Two responses a prompt, by one policy or by two."""
    return _drawn(params, work, machine, samples=2 // min(2, len(work.policies)))


def _samples(params: Params) -> int:
    """Of a prompt: K at each temperature, but one at 0. A re-tuned round tries three."""
    each, temperatures = int(params["samples_per_prompt"]), params["temperatures"]
    drawn = sum(each if temperature else 1 for temperature in temperatures)
    return max(drawn, 3 * each) if params["retune"] else drawn


def _best(params: Params, work: Work, machine: Machine) -> Estimate:
    return best_of(
        work.policies[0],
        work.reward_models,
        machine,
        prompts=work.prompts,
        samples=_samples(params),
        prompt_tokens=work.prompt_tokens,
        new_tokens=int(params["max_new_tokens"]),
        batch_tokens=_budget(params, machine),
    )


def _optimised(params: Params, work: Work, machine: Machine) -> Estimate:
    return ppo(
        work.policies[0],
        work.reward_models,
        machine,
        _learning(params),
        iterations=int(params["iterations"]),
        rollouts=int(params["prompts_per_iteration"]),
        epochs=int(params["epochs"]),
        prompt_tokens=work.prompt_tokens,
        new_tokens=int(params["max_new_tokens"]),
        batch_tokens=_budget(params, machine),
        drawn_tokens=int(params["sampled_tokens_per_batch"] or _budget({}, machine)),
        rank=int(params["lora_rank"]),
        checkpointing=_recomputes(params, machine),
        scorers_beside=params["reward_device"] == "same",
    )


def _dialogues(params: Params, work: Work, machine: Machine) -> Estimate:
    """A response a turn, behind half of the dialogue on average; where the policy asks too, its questions."""
    turns, new = int(params["turns"]), int(params["max_new_tokens"])
    asks = "user_tokens" in params and params.get("user_turns", "policy") == "policy"
    question = int(params["user_tokens"]) if asks else work.prompt_tokens
    read = work.prompt_tokens + (turns - 1) * (question + new) // 2
    answers = _drawn(params, work, machine, samples=turns, read=read)
    if not asks or turns == 1:
        return answers
    questions = _drawn({**params, "max_new_tokens": question}, work, machine, samples=turns - 1, read=read)
    return in_turn([answers, questions], tokens=answers.tokens + questions.tokens)


def _distilled(params: Params, work: Work, machine: Machine) -> Estimate:
    """The original answer and one behind each pre-prompt, all scored by the safety model."""
    samples = 1 + int(params["preprompts_per_prompt"])
    drawn = _drawn(params, work, machine, samples=samples)
    length = work.prompt_tokens + int(params["max_new_tokens"])
    asked = {"length": length, "batch_tokens": _budget(params, machine)}
    tokens = work.prompts * samples * length
    return in_turn(
        [drawn, *(scoring(model, machine, tokens=tokens, **asked) for model in work.reward_models)]
    )


FORMULAS: Final[Mapping[RunKind, Callable[[Params, Work, Machine], Estimate]]] = MappingProxyType(
    {
        RunKind.SAMPLE: _sampled,
        RunKind.TRAIN_REWARD_MODEL: _reward_model,
        RunKind.SCORE_PAIRS: _scored,
        RunKind.SCORE: _scored,
        RunKind.REJECTION_SAMPLE: _best,
        RunKind.FINETUNE: _finetuned,
        RunKind.COMPARE_REWARD_MODELS: _scored,
        RunKind.PPO: _optimised,
        RunKind.GATT: _dialogues,
        RunKind.DISTILL: _distilled,
        RunKind.SELF_CHAT: _dialogues,
    }
)
