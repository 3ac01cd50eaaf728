"""Simulated weeks: the product's own loop, week after week, in the toy world, whose people have a known taste.

Every step looks at the database first and does only what is missing, so that weeks which were killed at any point are
finished by starting them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.core.states import BatchState
from annotation.core.toy_world import TASTE, Ask, requests
from annotation.models import Batch, Prompt
from annotation.queries import batch_progress
from annotation.services import batches, guidelines, people
from annotation.services.labels import pool_prompts
from annotation.services.prompts import NewPrompt, add_prompts
from annotation.services.simulation import simulate_annotators
from rewardmodel.core.files import write_atomically
from training.core import weeks
from training.core.recipe import MAKES_POLICY, Recipe
from training.models import Iteration, PolicyVersion, Run
from training.queries import run_with_key
from training.services import iterations, start
from training.services.drive import LoopError, Watcher, drive, timed, wait_for
from training.services.references import policy_reference

FIRST = "weeks/import_policy"  # the key of its first run: a database that has it is the weeks' own
ANSWERS = 4  # of each policy to each held-out request
LONGEST = 20  # words of an answer
# The kinds of request that are open in a week where they change; one that should be refused is among them always.
CHANGING = ((Ask.TELL, Ask.SHORT), (Ask.VERSE,), (Ask.LIST,))


@dataclass(frozen=True, slots=True)
class WeeksPlan:
    """What to simulate.

    Attributes:
        recipe: of every week's iteration.
        sample: how the first week's pairs are sampled; later weeks' by the recipe.
        changing: each week asks for other kinds of answer than the week before.
        holdout: test pairs of each week.
        source: the model that everything begins with.
    """

    weeks: int
    seed: int
    recipe: Recipe
    sample: Mapping[str, Any]
    changing: bool = False
    holdout: int = 120
    source: str = "toy"


@dataclass
class Weeks:
    plan: WeeksPlan
    watcher: Watcher
    ask: Callable[
        [str, dict[str, Any]], Any
    ]  # lets a process of its own compute: (module, spec) to its result
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Simulate the weeks; returns their summary.

        Raises:
            LoopError: a run failed, or the database holds other work.
        """
        if Batch.objects.exists() and run_with_key(FIRST) is None:
            raise LoopError(
                "This database holds other work. Give the weeks a house of their own: MARGIN_HOME=var/weeks"
            )
        guidelines.install_default_guidelines()
        policies = [self._import_policy()]
        worth = [self._measure(policies[0])]
        self._open_pool(1)
        batch = self._first_batch(policies[0])
        for number in range(1, self.plan.weeks + 1):
            self._judge(batch)
            iteration = self._iteration(batch, policies)
            policies.append(self._next_policy(iteration))
            worth.append(self._measure(policies[-1]))
            if number < self.plan.weeks:
                self._open_pool(number + 1)
                batch = self._next_batch(iteration)
        return self._summary(policies, worth)

    def _import_policy(self) -> PolicyVersion:
        run = start.start_import_policy(name="V0", params={"source": self.plan.source}, key=FIRST)
        with self._timed("policy") as say:
            wait_for(run, self.watcher)
            say(f"V0 from {self.plan.source}")
        return PolicyVersion.objects.get(run=str(run.uid))

    def _open_pool(self, number: int) -> None:
        """The week's prompts: all of the world's that are not held out, or those of the week's kinds."""
        add_prompts(
            NewPrompt(text=r.text, focus=r.focus, source="toy world", category=r.ask, language="en")
            for r in requests()
            if not r.held_out
        )
        kinds = {*CHANGING[(number - 1) % len(CHANGING)], Ask.DEED} if self.plan.changing else set(Ask)
        kind_of = dict(Prompt.objects.values_list("pk", "category"))
        for open_now in (False, True):
            pool_prompts(
                prompts=[key for key, kind in kind_of.items() if (kind in kinds) is open_now],
                in_pool=open_now,
            )

    def _first_batch(self, policy: PolicyVersion) -> Batch:
        batch = Batch.objects.filter(number=1).first()
        if batch is None:
            batch = batches.create_batch(seed=self.plan.seed, holdout=self.plan.holdout)
        if batch.state == BatchState.PLANNED:
            batch = batches.open_batch(batch=batch)
        if batch.state == BatchState.OPEN:
            with self._timed("sample") as say:
                run = start.start_sample(
                    batch=batch,
                    policies=[policy],
                    params=self.plan.sample,
                    seed=self.plan.seed,
                    key="weeks/sample",
                )
                wait_for(run, self.watcher)
                say(f"{batch_progress(batch).comparisons} pairs")
        return batch

    def _judge(self, batch: Batch) -> None:
        if batch.state != BatchState.OPEN:
            return
        with self._timed("judge") as say:
            total = batch_progress(batch).comparisons
            simulate_annotators(
                annotators=[people.ensure_simulated(name) for name in ("ada", "ben")],
                seed=self.plan.seed,
                taste=TASTE,
                heard=lambda done: self.watcher.progress("judge", done, total),
            )
            say(f"{batch_progress(batch).judgments} judgments")

    def _iteration(self, batch: Batch, policies: Sequence[PolicyVersion]) -> Iteration:
        return Iteration.objects.filter(batch=batch).first() or iterations.create_iteration(
            batch=batch, policy=policies[-1], base=policies[0], seed=self.plan.seed, recipe=self.plan.recipe
        )

    def _next_policy(self, iteration: Iteration) -> PolicyVersion:
        """What the week's iteration makes of its judgments."""
        last = [step.name for step in iterations.steps_of(iteration) if step.kind in MAKES_POLICY][-1]
        self._drive(iteration, until=last)
        if iteration.tuned is None:
            raise LoopError(f"{iteration} has made no policy.")
        return iteration.tuned

    def _next_batch(self, iteration: Iteration) -> Batch:
        """The next week, with pairs of the new policy and the one before it (section 3.2.1)."""
        self._drive(iteration)
        if iteration.next_batch is None:
            raise LoopError(f"{iteration} has opened no next week: its recipe does not end with sample.")
        return iteration.next_batch

    def _drive(self, iteration: Iteration, until: str = "") -> None:
        for name, took in drive(iteration, watcher=self.watcher, until=until).items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 1)

    def _measure(self, policy: PolicyVersion) -> list[float]:
        """Utility of its answers to each held-out request."""
        folder = Path(settings.MARGIN_HOME) / "weeks"
        folder.mkdir(parents=True, exist_ok=True)
        asked, answered = folder / "held-out.jsonl", folder / f"{policy.name}.jsonl"
        if not answered.exists():
            lines = [{"messages": [{"role": "user", "content": r.text}]} for r in weeks.held_out()]
            write_atomically(asked, "".join(json.dumps(line) + "\n" for line in lines))
            with self._timed("measure") as say:
                self.ask(
                    "training.core.answer_file",
                    {
                        "policy": policy_reference(policy),
                        "file": str(asked),
                        "out": str(answered),
                        "answers": ANSWERS,
                        "max_new_tokens": LONGEST,
                        "seed": self.plan.seed,
                    },
                )
                say(policy.name)
        rows = [json.loads(line) for line in answered.read_text().split("\n") if line]
        return weeks.worth_of([row["answers"] for row in rows])

    def _summary(self, policies: Sequence[PolicyVersion], worth: Sequence[Sequence[float]]) -> dict[str, Any]:
        gains = [weeks.gain(now, before) for before, now in pairwise(worth)]
        return {
            "weeks": self.plan.weeks,
            "seed": self.plan.seed,
            "model": self.plan.source,
            "recipe": [step.kind.value for step in self.plan.recipe.steps],
            "changing": self.plan.changing,
            "policies": [
                {"name": policy.name, **weeks.measured(values)}
                for policy, values in zip(policies, worth, strict=True)
            ],
            "gains": gains,
            "rises": weeks.rises(gains),
            "reward_models": {str(it): _accuracies(it) for it in Iteration.objects.order_by("number")},
            "judgments": sum(batch_progress(batch).judgments for batch in Batch.objects.all()),
            "runs": Run.objects.count(),
            "seconds": {**self.seconds, "total": round(sum(self.seconds.values()), 1)},
        }

    def _timed(self, name: str) -> AbstractContextManager[Callable[[str], None]]:
        return timed(name, self.watcher, self.seconds)


def _accuracies(iteration: Iteration) -> dict[str, Any]:
    """Of the iteration's own reward models, on the week's test pairs and those before."""
    models = (iteration.helpfulness, iteration.safety)
    return {v.focus: v.metrics.get("accuracy") for v in models if v is not None}
