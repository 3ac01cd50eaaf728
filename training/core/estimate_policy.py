"""What rejection sampling and PPO cost on paper: drawing, scoring and learning put together.

Knows the formulas of each part. Must not know kinds of run, files or rows, nor import torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from training.core.estimate import Estimate, Learning, generation, in_turn, scoring, training
from training.core.sizes import GIB, Machine, ModelSize


def best_of(
    policy: ModelSize,
    reward_models: Sequence[ModelSize],
    machine: Machine,
    *,
    prompts: int,
    samples: int,
    prompt_tokens: int,
    new_tokens: int,
    batch_tokens: int,
) -> Estimate:
    """Drawing, then scoring with each reward model; a prompt is read once for all of its responses (token tree)."""
    drawn = generation(
        policy,
        machine,
        prompts=prompts,
        samples=samples,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        batch_tokens=batch_tokens,
    )
    read = prompts * (prompt_tokens + samples * new_tokens)
    length = prompt_tokens + new_tokens
    alone = machine.times(1)  # a reward model is not spread
    scored = [
        scoring(model, alone, tokens=read, length=length, batch_tokens=batch_tokens)
        for model in reward_models
    ]
    return in_turn([drawn, *scored])


def ppo(
    policy: ModelSize,
    reward_models: Sequence[ModelSize],
    machine: Machine,
    learning: Learning,
    *,
    iterations: int,
    rollouts: int,
    epochs: int,
    prompt_tokens: int,
    new_tokens: int,
    batch_tokens: int,
    drawn_tokens: int,
    rank: int = 8,
    checkpointing: bool = False,
    scorers_beside: bool = True,
) -> Estimate:
    """Iterations of drawing `rollouts` responses, in batches of `drawn_tokens`, scoring them, and `epochs` of learning
    (section 3.2.3).

    Four models are in memory at once: the policy that learns with its value head, the start that KL is measured from,
    which for adapters is the same weights without them, and the reward models, unless they
    are not `scorers_beside` but on a CPU. What is drawn is read by all of them,
    and by the policy once more for its old probabilities.
    """
    length = prompt_tokens + new_tokens
    tokens = rollouts * length
    drawn = generation(
        policy,
        machine,
        prompts=rollouts,
        samples=1,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        batch_tokens=drawn_tokens,
    )
    learnt = training(
        policy,
        machine,
        learning,
        tokens=epochs * tokens,
        length=length,
        batch_tokens=batch_tokens,
        rank=rank,
        checkpointing=checkpointing,
    )
    readers = [policy, policy, *reward_models]
    read = [
        scoring(model, machine, tokens=tokens, length=length, batch_tokens=batch_tokens) for model in readers
    ]
    frozen = [*(reward_models if scorers_beside else ()), *([policy] if learning == "full" else ())]
    beside = sum(model.parameters for model in frozen) * machine.bytes_a_number / machine.count
    cache = drawn_tokens * policy.cache_bytes(machine.bytes_a_number) / machine.count
    seconds = iterations * sum(part.seconds for part in (drawn, learnt, *read))
    why = f"{iterations:,} iterations of {rollouts:,} responses; {learnt.why}; other models {beside / GIB:.1f} GiB"
    memory = learnt.memory_bytes + beside + cache
    return Estimate(seconds, int(memory), iterations * rollouts * new_tokens, why)
