"""Near-duplicates among samples and winners."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotation.sketches import THRESHOLD, similarity
from training.core.alike import crowded, first_alike

LONG = "I am sorry, but I cannot help you with anything that would harm other people or their homes."
WORDS = st.lists(st.sampled_from(["sorry", "cannot", "help", "with", "that", "flood"]), max_size=8).map(
    " ".join
)


def test_texts_that_differ_in_case_marks_or_a_word_are_alike_and_others_are_not() -> None:
    texts = [
        LONG,
        "Water boils at 100 degrees.",
        LONG.upper(),
        LONG.replace("or their homes", "or their house"),
    ]
    assert similarity(texts[0], texts[3]) >= THRESHOLD
    assert first_alike(texts) == [0, 1, 0, 0]


def test_equal_texts_have_one_first() -> None:
    assert first_alike(["a", "b", "a", " a ", "b"]) == [0, 1, 0, 0, 1]


def test_of_nothing_nothing_is_alike() -> None:
    assert first_alike([]) == []


@given(st.lists(WORDS, max_size=8))
def test_the_first_ones_resemble_none_of_each_other_and_every_text_resembles_its_own(
    texts: list[str],
) -> None:
    found = first_alike(texts)
    firsts = sorted(set(found))
    assert all(found[index] == index <= place for place, index in enumerate(found))
    assert all(similarity(texts[a], texts[b]) < THRESHOLD for a in firsts for b in firsts if a < b)
    assert all(similarity(text, texts[index]) >= THRESHOLD for text, index in zip(texts, found, strict=True))


def test_at_most_so_many_of_the_alike_are_kept_the_first_of_them() -> None:
    texts = ["No.", "Yes, of course.", "no!", "NO", "Yes, of course!"]
    assert crowded(texts, 0) == ([0, 1, 2, 3, 4], 3)
    assert crowded(texts, 1) == ([0, 1], 3)
    assert crowded(texts, 2) == ([0, 1, 2, 4], 3)
