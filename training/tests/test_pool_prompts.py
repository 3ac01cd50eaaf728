"""Prompts drawn from the pool, and what rejection sampling tells of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotation.core.curriculum import Mix
from annotation.core.grades import Focus
from annotation.core.records import content_key
from annotation.models import Batch, Prompt, Snapshot
from annotation.services.batches import seal_batch
from annotation.services.prompts import NewPrompt, add_prompts
from annotation.services.snapshots import create_snapshot
from rewardmodel.models import RewardModelVersion
from training.core.spec import RunKind
from training.models import Run
from training.services.kinds import rejection_sample
from training.services.prompts import dialogues_of, draw_mix, draw_prompts

pytestmark = pytest.mark.django_db


def fill(focus: Focus = Focus.HELPFULNESS, **columns: Any) -> list[Prompt]:
    """Ten prompts of the pool, no two of which resemble each other."""
    start = Prompt.objects.count()
    texts = [f"What is {content_key('a word', start + n)}?" for n in range(10)]
    add_prompts(NewPrompt(text=text, focus=focus) for text in texts)
    rows = Prompt.objects.filter(text__in=texts)
    if columns:
        rows.update(**columns)
    return list(rows.order_by("pk"))


def make_judge(focus: Focus, snapshot: Snapshot) -> RewardModelVersion:
    return RewardModelVersion.objects.create(
        name=f"{focus} judge",
        focus=focus,
        recipe="probe",
        snapshot=snapshot,
        backbone="V0",
        path=f"runs/{focus}",
        sha256="0" * 64,
        run=f"made-{focus}",
    )


def test_growing_the_pool_does_not_reshuffle_it() -> None:
    fill(Focus.SAFETY)
    before = draw_prompts(count=6, safety_share=1.0, seed=3)
    add_prompts([NewPrompt(text="One more?", focus=Focus.SAFETY)])
    after = draw_prompts(count=6, safety_share=1.0, seed=3)
    assert [key for key in after if key in before] == before[: len(set(after) & set(before))]
    assert len(set(before) - set(after)) <= 1


@pytest.mark.parametrize("mix", [None, Mix(safety_share=0)])
@pytest.mark.parametrize("split", ["test", "neither"])
def test_what_is_held_out_or_resembles_it_is_never_drawn(mix: Mix | None, split: str) -> None:
    fill(split=split)
    kept = {prompt.key for prompt in fill(split="train")}
    assert set(draw_prompts(count=99, safety_share=0, seed=0, mix=mix)) == kept


def test_what_is_not_in_the_pool_is_not_drawn() -> None:
    fill(in_pool=False)
    assert draw_prompts(count=9, safety_share=0, seed=0) == []
    assert draw_mix(count=9, mix=Mix(), seed=0).keys == ()


def test_a_mix_is_drawn_from_the_columns_of_the_pool() -> None:
    for difficulty in (0.1, 0.5, 0.9):
        fill(difficulty=difficulty)
        fill(Focus.SAFETY, difficulty=difficulty)
    mix = Mix(easy=0.5, middle=0.3, hard=0.2, safety_share=0.5)
    drawn = draw_mix(count=20, mix=mix, seed=1)
    rows = list(Prompt.objects.filter(key__in=drawn.keys).values_list("focus", "difficulty"))
    for focus in Focus:
        assert [rows.count((focus, difficulty)) for difficulty in (0.1, 0.5, 0.9)] == [5, 3, 2]
    assert drawn.lacking == {}
    assert draw_prompts(count=20, safety_share=0.9, seed=1, mix=mix) == list(drawn.keys)


def test_topics_sources_and_turns_of_the_pool_count() -> None:
    fill(category="law")
    fill(source="old")
    fill(turns=3)
    fresh = fill()
    mix = Mix(topics={"law": 0}, sources={"old": 0}, turns=2, safety_share=0)
    assert set(draw_mix(count=99, mix=mix, seed=1).keys) == {prompt.key for prompt in fresh}


def test_of_near_duplicates_a_mix_draws_one() -> None:
    add_prompts(
        NewPrompt(text=text, focus=Focus.HELPFULNESS)
        for text in ("Why is it so?", "why is it so", "WHY IS IT SO!")
    )
    assert len(draw_mix(count=9, mix=Mix(), seed=1).keys) == 1


def test_rejection_sampling_tells_how_hard_its_prompts_are(week: Batch) -> None:
    easy, hard, silent = fill()[:3]
    attack = fill(Focus.SAFETY)[0]
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week])
    judges = {focus: make_judge(focus, snapshot) for focus in Focus}
    asked = [easy, hard, silent, attack]
    keys = [prompt.key for prompt in asked]
    inputs: dict[str, Any] = {"prompts": keys, **{focus: judge.pk for focus, judge in judges.items()}}
    run = Run.objects.create(kind=RunKind.REJECTION_SAMPLE, inputs=inputs)
    rewards = {easy: (2.0, 4.0), hard: (-1.0, 0.0), silent: (9.0, 9.0), attack: (1.0, 2.0)}
    rows = [
        {
            "dialogue": dialogue.key,
            "text": "" if prompt == silent else "An answer.",
            "helpfulness": reward,
            "safety": -reward,
            "score": 0.0,
        }
        for prompt, dialogue in zip(asked, dialogues_of(keys), strict=True)
        for reward in rewards[prompt]
    ]
    (run.folder / "output").mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.folder / "output" / "candidates.jsonl").write_text(text)

    rejection_sample.register(run, rejection_sample.collect(run))

    for prompt in asked:
        prompt.refresh_from_db()
    assert [prompt.difficulty for prompt in asked] == [0.25, 0.75, None, 0.5]
    assert hard.difficulty_from == {"reward_model": "helpfulness judge", "k": 2, "mean": -0.5, "best": 0.0}
    assert attack.difficulty_from == {"reward_model": "safety judge", "k": 2, "mean": -1.5, "best": -1.0}
