"""The run of PPO: a policy learns from its own answers what the reward models like (section 3.2.3 of the method).

Knows the order of things: sample, score, observe, update, measure; and how the result is stored. Must not know how any
of them is done.

Inputs: policy (reference), helpfulness and safety (references of reward models), prompts (a JSON lines file of
{"dialogue", "messages", "focus"}), name. Output: a policy directory: an adapter for the recipe lora, whole weights for
full, and whole weights too where the start is an adapter itself, which goes into the weights first. Result: iterations,
why it stopped, the first and last iteration's figures, and the held-out reward before and at its best.

What was simplified: one process and one device; policy and reward models are in memory together.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Final, cast

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from rewardmodel.core import scorer
from rewardmodel.core.adapters import save_adapter
from rewardmodel.core.backbone import PolicyRef, load_causal_lm, load_tokenizer, pick_device
from rewardmodel.core.charts import ChartedReporter, charted
from rewardmodel.core.files import MANIFEST, ManifestError, read_manifest, sha256_of, write_manifest
from rewardmodel.core.layout import token_budget
from rewardmodel.core.memory import explained
from rewardmodel.core.report import Reporter, RunFailedError
from training.core.batching import PromptEncoder
from training.core.draws import draw_seed
from training.core.job import Job
from training.core.ppo_experience import Judges, observe, score
from training.core.ppo_rollout import Answer, Prompt, answer_all, prompts_of, read_prompts, split_prompts
from training.core.ppo_state import History, Store
from training.core.ppo_update import Losses, make_optimizer, update
from training.core.specs.ppo import PpoSpec
from training.core.value_head import ActorCritic, build_actor

CHECKPOINT_SECONDS: Final = 60.0  # at most so much work, and one iteration, is lost by a kill
ADVICE: Final = (
    "Lower tokens_per_batch and sampled_tokens_per_batch, use the recipe lora, or set reward_device to cpu."
)


def run(job: Job) -> dict[str, Any]:
    """Reinforce and publish the policy."""
    spec = cast("PpoSpec", job.file.spec())
    ref = PolicyRef.from_json(job.file.inputs["policy"])
    job.stage("load")
    with explained(ADVICE):
        tokenizer = load_tokenizer(ref)
        actor = _actor(job, ref, spec, int(cast("int", tokenizer.pad_token_id)))
        encode = partial(PromptEncoder(ref, tokenizer), max_new_tokens=spec.max_new_tokens)
        prompts = read_prompts(Path(job.file.inputs["prompts"]), encode)
        judges = _judges(job, spec)
        job.stage("reinforce")
        history = Reinforcement(
            actor, tokenizer, judges, prompts, spec, seed=job.file.seed, work=job.work, report=job
        ).run()
        job.stage("write")
        _publish(job, ref, actor, tokenizer)
    return {
        "iterations": history.iteration,
        "stopped": history.stopped,
        "first": history.first,
        "last": history.last,
        "held_out_start": history.start,
        "held_out_best": history.best,
        "best_iteration": history.best_iteration if history.best is not None else history.iteration,
    }


class Reinforcement:
    """PPO from its start, or its last checkpoint, to its end.

    Every draw is seeded by the run's seed, the iteration and the prompt's place in it, so that a resumed run ends with
    the same bytes on a CPU.
    """

    def __init__(
        self,
        actor: ActorCritic,
        tokenizer: PreTrainedTokenizerBase,
        judges: Judges,
        prompts: Sequence[Prompt],
        spec: PpoSpec,
        *,
        seed: int,
        work: Path,
        report: Reporter,
    ) -> None:
        self.actor, self.tokenizer, self.judges, self.spec, self.seed = actor, tokenizer, judges, spec, seed
        self.work, self.report = work, report
        self.prompts, self.held = split_prompts(prompts, spec.held_out, seed)
        self.optimizer = make_optimizer(actor.eval(), spec)  # dropout off; gradients flow all the same
        self.store = Store(work, actor, self.optimizer)
        self.history = self.store.load()
        device = actor.model.device.type
        self.sampled = token_budget(spec.sampled_tokens_per_batch, device, gradients=False)
        self.read = token_budget(spec.tokens_per_batch, device, gradients=False)
        self.learnt = token_budget(spec.tokens_per_batch, device)
        self.saved_at = time.monotonic()

    def run(self) -> History:
        """Iterate until there is a reason to stop; the actor is then the best policy that was measured."""
        history, spec = self.history, self.spec
        if not self.held and not history.iteration:
            self.report.note(
                "No prompt is held out: the run goes on to its last iteration, and keeps its policy."
            )
        with charted(self.report, self.work / "tensorboard", after=history.iteration) as report:
            if self.held and history.start is None:
                self._measure(report)
            while not history.is_over(spec):
                self._iterate(report)
                report.progress(history.iteration, spec.iterations, "iterations")
                if time.monotonic() - self.saved_at >= CHECKPOINT_SECONDS:
                    self._save(report)
                report.check()
            self._save(report)
        self.store.restore_best(history)
        return history

    def _iterate(self, report: ChartedReporter) -> None:
        """Sample, score, observe, update, and measure where it is time. Policies beyond `kl_limit` learn no more."""
        history, spec = self.history, self.spec
        number = history.iteration
        prompts = prompts_of(number, self.prompts, spec.prompts_per_iteration, self.seed)
        answers = self._answers(
            prompts, [draw_seed(self.seed, number, place) for place in range(len(prompts))]
        )
        scores = score(self.judges, answers)
        report.check()
        experience, figures = observe(self.actor, answers, scores, spec, budget=self.read, check=report.check)
        if figures["kl"] > spec.kl_limit:
            report.note(
                f"In iteration {number + 1} an answer's mean KL to the start was {figures['kl']:.1f} nats, beyond "
                "kl_limit: the policy has left what the reward models know. A higher kl_weight or a lower "
                "learning_rate helps."
            )
            history.stopped = "kl"
            return
        losses = update(
            self.actor,
            self.optimizer,
            experience,
            spec,
            seed=[self.seed, number],
            budget=self.learnt,
            check=report.check,
        )
        history.iteration, history.steps = number + 1, history.steps + len(losses)
        history.last = figures | _means(losses)
        history.first = history.first or history.last
        for name, value in history.last.items():
            report.metric(name, value, history.iteration)
        due = history.iteration % spec.measure_every == 0 or history.iteration == spec.iterations
        if self.held and due:
            self._measure(report)

    def _measure(self, report: ChartedReporter) -> None:
        """See what the held-out prompts' answers are worth, drawn with the same noise every time."""
        answers = self._answers(
            self.held, [draw_seed(self.seed, "held", prompt.dialogue) for prompt in self.held]
        )
        rewards: list[float] = score(self.judges, answers).combined.tolist()
        report.metric("held_out_reward", fmean(rewards), self.history.iteration)
        if self.history.measured(rewards):
            self.store.keep_best(self.history)
            self._save(report)

    def _answers(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answer]:
        return answer_all(
            self.actor,
            self.tokenizer,
            prompts,
            seeds,
            longest=self.spec.max_new_tokens,
            budget=self.sampled,
            check=self.report.check,
        )

    def _save(self, report: ChartedReporter) -> None:
        report.flush()
        self.store.save(self.history)
        self.saved_at = time.monotonic()


def _means(losses: Sequence[Losses]) -> dict[str, float]:
    return {
        "policy_loss": fmean(loss.policy for loss in losses),
        "value_loss": fmean(loss.value for loss in losses),
        "clip_fraction": fmean(loss.clipped for loss in losses),
    }


def _actor(job: Job, ref: PolicyRef, spec: PpoSpec, pad: int) -> ActorCritic:
    try:
        device = pick_device(job.file.device)
        model = load_causal_lm(ref, device, torch.float32)  # small steps vanish in bfloat16 weights
    except ValueError as error:
        raise RunFailedError(str(error)) from error
    return build_actor(model, spec.recipe, lora_rank=spec.lora_rank, pad=pad, seed=job.file.seed)


def _judges(job: Job, spec: PpoSpec) -> Judges:
    device = "cpu" if spec.reward_device == "cpu" else job.file.device
    inputs = job.file.inputs
    return Judges(
        helpfulness=scorer.load(inputs["helpfulness"], device=device),
        safety=scorer.load(inputs["safety"], device=device),
    )


def _publish(job: Job, ref: PolicyRef, actor: ActorCritic, tokenizer: PreTrainedTokenizerBase) -> None:
    staged = job.work / "policy"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    policy = actor.policy
    adapter = isinstance(policy, PeftModel) and not ref.is_adapter
    with actor.sampling() as model:  # whose attention is one that others know
        if adapter:
            save_adapter(policy, staged, ref)
        else:
            whole: Any = policy.merge_and_unload() if isinstance(policy, PeftModel) else model
            whole.save_pretrained(staged)
    tokenizer.save_pretrained(staged)
    inputs = job.file.inputs
    fields = {
        "kind": "policy",
        "name": inputs["name"],
        "source": "ppo",
        "parent": ref.name,
        "template": _template(ref),
        "code_version": job.file.code_version,
        "seed": job.file.seed,
        "params": job.file.params,
        "prompts": sha256_of(Path(inputs["prompts"])),
        "reward_models": {
            name: sha256_of(Path(inputs[name]["path"]) / MANIFEST) for name in ("helpfulness", "safety")
        },
    }
    write_manifest(staged, fields | ({"adapter": True} if adapter else {}))
    job.publish(staged)


def _template(ref: PolicyRef) -> str:
    try:
        return str(read_manifest(ref.path).get("template", "model"))
    except ManifestError:
        return "model"
