"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.worddiff import AROUND, WORDS_AT_MOST, difference_html

# Few words, so that texts share some; some of them are markup.
WORDS = st.sampled_from(["one", "two", "three", "&amp;", "<b>", "</ins>", '"', "<script>", "…", "ü", "שלום"])
TEXTS = st.lists(st.tuples(st.sampled_from([" ", "\n", "\n\n", "  "]), WORDS), max_size=40).map(
    lambda pairs: "".join(gap + word for gap, word in pairs)
)
SHORT = st.lists(WORDS, min_size=1, max_size=AROUND).map(" ".join)  # nothing in them is ever left out


def without(tag: str, html: str) -> list[str]:
    """The words of a difference when what `tag` marks is dropped."""
    dropped = re.sub(rf"<{tag}>.*?</{tag}>", " ", html, flags=re.DOTALL)
    return unescape(re.sub(r"</?(?:ins|del|div)[^>]*>", "", dropped)).split()


@given(before=TEXTS, after=TEXTS)
def test_nothing_of_the_texts_is_markup(before: str, after: str) -> None:
    tags = set(re.findall(r"<[^>]*>", difference_html(before, after)))
    assert tags <= {'<div class="plain" dir="auto">', "</div>", "<ins>", "</ins>", "<del>", "</del>"}


@given(before=SHORT, after=SHORT)
def test_dropping_what_went_gives_the_new_words_and_dropping_what_came_the_old_ones(
    before: str, after: str
) -> None:
    html = difference_html(before, after)
    if before.split() == after.split():
        assert html == ""
        return
    assert without("del", html) == after.split()
    assert without("ins", html) == before.split()


@given(text=TEXTS)
def test_a_text_that_only_breaks_its_lines_elsewhere_has_not_changed(text: str) -> None:
    assert difference_html(text, " \n".join(text.split())) == ""


def test_a_change_is_shown_with_the_words_round_it() -> None:
    before = "Say which of the two answers is better."
    assert difference_html(before, before.replace("better", "safer")) == (
        '<div class="plain" dir="auto">Say which of the two answers is <del>better.</del> <ins>safer.</ins></div>'
    )


def test_what_did_not_change_is_cut_to_a_few_words() -> None:
    words = [f"w{i}" for i in range(100)]
    html = difference_html(" ".join(words), " ".join([*words[:50], "new", *words[50:]]))
    assert "<ins>new</ins>" in html
    assert "w49" in html
    assert "w30" not in html
    assert html.count("…") == 2


def test_texts_too_long_to_compare_are_said_to_have_changed() -> None:
    assert "read the whole text" in difference_html("a " * WORDS_AT_MOST, "b " * 10)


@pytest.mark.parametrize(("before", "after"), [("", ""), ("same text", "same text"), ("a b", "a  b")])
def test_where_no_word_changed_there_is_nothing_to_show(before: str, after: str) -> None:
    assert difference_html(before, after) == ""
