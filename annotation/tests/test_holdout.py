"""Drawing the prompts that are held out."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from annotation.core.holdout import draw, target_size

SIZES = st.dictionaries(st.text(max_size=6), st.integers(0, 30), max_size=30)


@pytest.mark.parametrize(
    ("examples", "size"),
    [
        (0, 0),
        (9, 0),  # too few to give any away
        (10, 1),
        (19, 1),
        (5_561, 556),  # the paper's first week; a tenth is less than 1,000
        (9_999, 999),
        (10_000, 1_000),
        (249_356, 1_000),  # the paper's last week
    ],
)
def test_a_thousand_are_held_out_but_never_more_than_a_tenth(examples: int, size: int) -> None:
    assert target_size(examples) == size


def test_the_numbers_can_be_set() -> None:
    assert target_size(500, holdout=20, largest_share=0.5) == 20
    assert target_size(100, largest_share=0.29) == 29  # 28.999... in binary
    assert target_size(10, largest_share=0.01) == 1
    assert target_size(500, holdout=0) == 0


@pytest.mark.parametrize("arguments", [(-1, 1, 0.1), (1, -1, 0.1), (1, 1, -0.1), (1, 1, 1.1)])
def test_numbers_that_make_no_sense_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match=r"cannot be negative|between 0 and 1"):
        target_size(*arguments)


def test_a_prompt_with_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        draw({"x": -1}, seed=0, target=1)


@given(st.integers(0, 300_000))
def test_a_larger_batch_never_holds_out_less(examples: int) -> None:
    assert target_size(examples) <= target_size(examples + 1) <= max(1, (examples + 1) // 10)


@given(SIZES, st.integers(0, 9), st.integers(0, 200))
def test_the_draw_reaches_its_target_and_passes_it_by_less_than_its_last_prompt(
    sizes: dict[str, int], seed: int, target: int
) -> None:
    drawn = draw(sizes, seed=seed, target=target)
    total = sum(sizes[key] for key in drawn)
    left = sum(size for key, size in sizes.items() if size and key not in drawn)
    if drawn:
        assert total - max(sizes[key] for key in drawn) < target
    if total < target:
        # Only one prompt was left, and it stays for training.
        assert sum(1 for key, size in sizes.items() if size and key not in drawn) <= 1
    assert bool(left) is any(sizes.values())


def test_nothing_is_drawn_for_a_target_of_zero_or_from_a_single_prompt() -> None:
    assert draw({"x": 5, "y": 5}, seed=0, target=0) == frozenset()
    assert draw({"x": 5}, seed=0, target=1) == frozenset()
    assert draw({}, seed=0, target=1) == frozenset()


@given(SIZES, st.integers(0, 9), st.integers(0, 200))
def test_the_order_of_the_mapping_does_not_matter(sizes: dict[str, int], seed: int, target: int) -> None:
    backwards = dict(reversed(sizes.items()))
    assert draw(sizes, seed=seed, target=target) == draw(backwards, seed=seed, target=target)


@given(SIZES, st.text(max_size=6), st.integers(1, 30), st.integers(0, 9), st.integers(0, 200))
def test_a_further_prompt_brings_no_other_one_in_where_the_target_was_reached(
    sizes: dict[str, int], key: str, size: int, seed: int, target: int
) -> None:
    before = draw(sizes, seed=seed, target=target)
    assume(key not in sizes and sum(sizes[k] for k in before) >= target)
    assert draw({**sizes, key: size}, seed=seed, target=target) - {key} <= before


@given(SIZES, st.integers(0, 9), st.integers(0, 200))
def test_what_alone_passes_the_target_is_drawn_only_where_nothing_smaller_is_left(
    sizes: dict[str, int], seed: int, target: int
) -> None:
    drawn = draw(sizes, seed=seed, target=target)
    if any(sizes[key] > target for key in drawn):
        assert {key for key, size in sizes.items() if 0 < size <= target} <= drawn
    else:
        assert sum(sizes[key] for key in drawn) < max(1, 2 * target)


def test_a_template_that_thousands_share_does_not_become_the_whole_hold_out() -> None:
    sizes = {"template": 5_000} | dict.fromkeys((f"prompt {n}" for n in range(5_000)), 1)
    assert all(len(draw(sizes, seed=seed, target=1_000)) == 1_000 for seed in range(8))


def test_another_seed_draws_other_prompts() -> None:
    sizes = dict.fromkeys((f"prompt {n}" for n in range(100)), 1)
    assert draw(sizes, seed=0, target=10) != draw(sizes, seed=1, target=10)


def test_every_prompt_has_the_same_chance() -> None:
    # 10 of 100 in 1,000 draws: each prompt 100 times, standard deviation 9.5; five of them either way.
    sizes = dict.fromkeys((f"prompt {n}" for n in range(100)), 1)
    drawn = [draw(sizes, seed=seed, target=10) for seed in range(1000)]
    counts = [sum(key in keys for keys in drawn) for key in sizes]
    assert all(53 <= count <= 147 for count in counts)
