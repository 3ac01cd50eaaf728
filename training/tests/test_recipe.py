"""How the steps of an iteration fit together, which of them come next, and what makes two of them the same work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from training.core.plan import next_wave, stage_reached, step_digest
from training.core.recipe import PRESETS, Recipe, StepKind, Wired, wired
from training.core.states import STEP_MOVES, IterationState, StepState

MODELS = [
    {"kind": "train_reward_model", "params": {"focus": "helpfulness"}},
    {"kind": "train_reward_model", "params": {"focus": "safety"}},
]


@dataclass(frozen=True)
class Now:
    """A step as it stands."""

    name: str
    kind: str
    state: str
    after: tuple[str, ...]


def now(steps: tuple[Wired, ...], done: int) -> list[Now]:
    """The steps of which the first `done` are done."""
    return [
        Now(step.name, step.kind, StepState.DONE if k < done else StepState.WAITING, step.after)
        for k, step in enumerate(steps)
    ]


def named(recipe: Recipe) -> dict[str, Wired]:
    return {step.name: step for step in wired(recipe)}


def fault(*steps: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"steps": [*MODELS, *steps]})
    return str(caught.value)


def test_the_first_recipe_is_the_papers_loop() -> None:
    assert [step.name for step in wired(PRESETS["rejection"])] == [
        "seal",
        "snapshot",
        "train_reward_model/helpfulness",
        "train_reward_model/safety",
        "rejection_sample",
        "finetune",
        "sample",
    ]


def test_fine_tuning_starts_from_the_base_and_learns_from_all_targets_before_it() -> None:
    tuning = named(PRESETS["full"])["finetune"]
    assert (tuning.policy, tuning.targets) == ("base", ("rejection_sample", "distill", "gatt"))
    assert set(tuning.after) == {"snapshot", "rejection_sample", "distill", "gatt"}


def test_ppo_goes_on_from_the_fine_tuned_policy_and_the_next_week_asks_what_came_of_it() -> None:
    steps = named(PRESETS["rejection+ppo"])
    assert (steps["ppo"].policy, steps["sample"].policy) == ("finetune", "ppo")
    assert {"finetune", "train_reward_model/safety", "train_reward_model/helpfulness"} <= set(
        steps["ppo"].after
    )


def test_distillation_waits_for_the_safety_model_alone() -> None:
    after = named(PRESETS["full"])["distill"].after
    assert "train_reward_model/safety" in after
    assert "train_reward_model/helpfulness" not in after


def test_ghost_attention_behind_ppo_begins_with_its_policy_and_is_learnt_on_top() -> None:
    steps = named(
        Recipe.model_validate(
            {
                "steps": [
                    *MODELS,
                    {"kind": "rejection_sample"},
                    {"kind": "finetune"},
                    {"kind": "ppo"},
                    {"kind": "gatt"},
                    {"kind": "finetune", "name": "again", "policy": "ppo", "targets": ["gatt"]},
                ]
            }
        )
    )
    assert steps["gatt"].policy == "ppo"
    assert set(steps["again"].after) == {"snapshot", "gatt", "ppo"}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"kind": "seal"}, "every recipe begins with it"),
        ({"kind": "dance"}, "Input should be"),
        ({"kind": "finetune"}, "nothing to learn from"),
        ({"kind": "ppo", "policy": "gatt"}, "no policy by then: choose policy, base"),
        ({"kind": "gatt", "targets": ["ppo"]}, "learns from no targets"),
        ({"kind": "gatt", "params": {"turns": 0}}, "the parameters of gatt are wrong: turns"),
        ({"kind": "gatt", "name": "base"}, "two steps are named 'base'"),
        ({"kind": "gatt", "name": "No Good"}, "pattern"),
        ({"kind": "train_reward_model", "params": {}}, "focus"),
        (MODELS[0], "two steps are named"),
    ],
)
def test_what_does_not_fit_together_is_said(step: dict[str, Any], words: str) -> None:
    assert words in fault(step)


def test_the_recipe_that_the_manual_shows_is_one() -> None:
    manual = (settings.BASE_DIR / "docs" / "iterations.md").read_text()
    recipe = Recipe.model_validate_json(manual.partition("```json")[2].partition("```")[0])
    assert named(recipe)["with-gatt"].targets == ("rejection_sample", "gatt")


def test_the_next_week_is_opened_last() -> None:
    assert "comes behind sample" in fault({"kind": "sample"}, {"kind": "gatt"})


def test_targets_that_no_earlier_step_makes_are_named() -> None:
    assert "learns from gatt" in fault(
        {"kind": "rejection_sample"}, {"kind": "finetune", "targets": ["gatt"]}
    )


def test_a_recipe_survives_being_written_and_read() -> None:
    for recipe in PRESETS.values():
        assert Recipe.model_validate(recipe.to_json()) == recipe


def test_parameters_by_kind_reach_every_step_of_the_kind_and_leave_the_focus() -> None:
    changed = PRESETS["rejection"].with_params(
        {"train_reward_model": {"l2": 2.0, "focus": "safety"}, "finetune": {"epochs": 3}}
    )
    steps = named(changed)
    assert dict(steps["train_reward_model/helpfulness"].params) == {"focus": "helpfulness", "l2": 2.0}
    assert changed.params_by_kind() == {"train_reward_model": {"l2": 2.0}, "finetune": {"epochs": 3}}


def test_steps_that_wait_for_nothing_unfinished_come_together() -> None:
    steps = wired(PRESETS["full"])
    waves = [[step.name for step in next_wave(now(steps, done))] for done in (0, 1, 2, 4, 7, 9)]
    assert waves == [
        ["seal"],
        ["snapshot"],
        ["train_reward_model/helpfulness", "train_reward_model/safety"],
        ["rejection_sample", "distill", "gatt"],
        ["finetune"],
        ["sample"],
    ]


@given(st.sampled_from(sorted(PRESETS)), st.data())
def test_whatever_is_done_no_step_starts_before_what_it_reads(name: str, data: st.DataObject) -> None:
    steps = wired(PRESETS[name])
    states = data.draw(st.lists(st.sampled_from(list(StepState)), min_size=len(steps), max_size=len(steps)))
    rows = [replace(row, state=state) for row, state in zip(now(steps, 0), states, strict=True)]
    done = {row.name for row in rows if row.state == StepState.DONE}
    assert all(set(step.after) <= done and step.name not in done for step in next_wave(rows))


@given(st.sampled_from(sorted(PRESETS)))
def test_doing_one_wave_after_the_other_ends_and_passes_the_stages_in_order(name: str) -> None:
    rows = now(wired(PRESETS[name]), 0)
    reached = [stage_reached(rows)]
    while wave := {step.name for step in next_wave(rows)}:
        rows = [replace(row, state=StepState.DONE) if row.name in wave else row for row in rows]
        reached.append(stage_reached(rows))
    order = list(IterationState)
    assert reached[0] == IterationState.COLLECTING
    assert reached[-1] == IterationState.FED_BACK
    assert reached == sorted(reached, key=order.index)


def test_a_stage_without_steps_is_passed_at_once() -> None:
    steps = wired(Recipe.model_validate({"steps": [{"kind": "gatt"}]}))
    assert stage_reached(now(steps, 2)) == IterationState.REWARDED
    assert stage_reached(now(steps, 3)) == IterationState.FED_BACK


def test_a_digest_changes_with_everything_that_counts_and_with_nothing_else() -> None:
    same: dict[str, Any] = {
        "kind": StepKind.GATT,
        "params": {"a": 1, "b": 2},
        "seed": 0,
        "reads": {"x": ["1"]},
    }
    digest = step_digest(**same)
    assert step_digest(**{**same, "params": {"b": 2, "a": 1}}) == digest
    others: list[dict[str, Any]] = [
        {"kind": StepKind.DISTILL},
        {"params": {"a": 1}},
        {"seed": 1},
        {"reads": {"x": ["2"]}},
    ]
    assert len({digest, *(step_digest(**{**same, **other}) for other in others)}) == 5


def test_a_step_goes_forward_alone() -> None:
    order = list(StepState)
    assert all(order.index(to) > order.index(frm) for frm, moves in STEP_MOVES.items() for to in moves)
