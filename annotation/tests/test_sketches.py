"""What of two texts is compared, and how candidates are found."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.sketches import (
    BANDS,
    SHARED,
    THRESHOLD,
    Crowd,
    bands,
    hashed,
    jaccard,
    normalised,
    sharing,
    shingles,
    similarity,
)

STORY = "Please write a short story about a dragon who learns to fly over the mountains"
TALE = "Write a short story about a dragon who learns to fly over the mountains"


def plain_jaccard(one: str, other: str) -> float:
    """The definition, without hashes."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I bake bread?", "how do i  bake BREAD"),
        ("“Quoted” — and dashed…", '"quoted" and dashed'),
        ("ﬁne ﾃｽﾄ ①", "fine テスト 1"),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("two\nlines", "two lines"),
        ("Straße", "STRASSE"),
    ],
)
def test_what_reads_alike_is_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert similarity(one, other) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("What is C?", "What is C+?"), ("5 > 4", "5 < 4"), ("?", "!"), ("किताब", "कतब")]
)
def test_symbols_and_signs_of_vowels_are_not_dropped(one: str, other: str) -> None:
    assert similarity(one, other) < 1


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        # " hello " has 3 runs, " hello you " 7, of which " hell" and "hello" and "ello " are common: 3 of 7.
        ("Hello", "Hello you", 3 / 7),
        ("Why?", "Who?", 0),
        ("a", "A.", 1),  # shorter than a run
        # 我们 is written twice, " 我我们们 ": the runs " 我我们们" and "我我们们 "; none of 你们's is among them.
        ("我们", "你们", 0),
        ("我们", "我们\uff01", 1),
    ],
)
def test_the_similarity_of_short_texts_by_hand(one: str, other: str, alike: float) -> None:
    assert similarity(one, other) == pytest.approx(alike)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (STORY, TALE, True),  # 69 of 76 runs: 0.91
        ("What is the capital of France?", "What is the capital of Finland?", False),
        ("Question 1.5 about helpfulness?", "Question 1.6 about helpfulness?", False),
        (
            "请你用非常简单的语言给我解释一下量子力学的基本原理。",
            "请用非常简单的语言给我解释一下量子力学的基本原理",
            True,
        ),
        ("如何学习中文写作", "如何学习英文写作", False),
    ],
)
def test_what_the_threshold_takes_for_near(one: str, other: str, near: bool) -> None:
    assert (similarity(one, other) >= THRESHOLD) is near


@given(st.text(max_size=60), st.text(max_size=60))
def test_similarity_is_the_share_of_common_runs(one: str, other: str) -> None:
    assert similarity(one, other) == similarity(other, one) == plain_jaccard(one, other)
    assert similarity(one, one) == 1


def test_bands_are_what_they_were() -> None:
    """Stored bands are compared with new ones: if this fails, read docs/prompts.md on another release of rensa."""
    first, second = bands(hashed([STORY, "写一首关于大海的诗"]))
    assert (len(first), first[0], first[31]) == (BANDS, -1634158190385065462, -2793049302422419439)
    assert (second[0], second[31]) == (-1916927991179678174, -3249901199964301024)


def test_bands_are_the_same_in_another_process() -> None:
    code = f"from annotation.sketches import *; print(bands(hashed([{STORY!r}])))"
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert answers == [f"{bands(hashed([STORY]))}\n"] * 2


def test_bands_fit_the_column_and_say_which_they_are() -> None:
    (own,) = bands(hashed([STORY]))
    assert all(-(2**63) <= digest < 2**63 for digest in own)
    assert len(set(own)) == BANDS


def test_pairs_at_the_threshold_share_thirteen_bands() -> None:
    # 400 pairs of 40 common hashes and 5 own each, of similarity 40 / 50. 32 bands agree with probability 0.8^4 each,
    # 13.1 on average; the mean over 400 pairs has a standard error of 0.14 at most.
    generator = np.random.default_rng(1)
    numbers = np.sort(generator.integers(0, 2**63, (400, 50), dtype=np.uint64))
    ones, others = bands(list(numbers[:, :45])), bands(list(np.delete(numbers, np.s_[40:45], axis=1)))
    shared = [len(set(one) & set(other)) for one, other in zip(ones, others, strict=True)]
    assert 12.4 < sum(shared) / 400 < 13.8
    assert min(shared) >= SHARED


def test_those_who_share_enough_are_named_most_first() -> None:
    held = [(10, 1), (11, 1), (12, 1), (10, 2), (11, 2), (10, 3), (11, 3), (12, 3), (10, 4), (99, 5)]
    assert {name: found.tolist() for name, found in sharing({1: [10, 11, 12], 7: [98]}, held).items()} == {
        1: [3, 2],
        7: [],
    }


@given(st.lists(st.text(alphabet="ab c", min_size=1, max_size=40), min_size=2, max_size=12))
def test_a_crowd_overlooks_nobody(texts: list[str]) -> None:
    sets = hashed(texts)
    likely = set(Crowd(sets).resembling(0, np.arange(1, len(sets))).tolist())
    assert {i for i in range(1, len(sets)) if jaccard(sets[0], sets[i]) >= THRESHOLD} <= likely


def test_a_crowd_leaves_most_strangers_out() -> None:
    texts = [
        f"Write a letter to the {word} about the weather" for word in ("king", "mayor", "teacher", "baker")
    ]
    assert Crowd(hashed(texts)).resembling(0, np.arange(1, 4)).tolist() == []
