"""Text from models and strangers goes into pages; whatever they write stays text."""

from __future__ import annotations

import re
import time

import pytest

from annotation import maths, rendering
from annotation.rendering import MARKDOWN_LIMIT, SHOWN_LIMIT, TAGS, render_markdown
from tests.hostile import MUTATES, RUNS, SHOWN

LINK = re.compile(
    r'<a( href="(https?:|mailto:)[^"<>]*")? target="_blank" rel="noopener noreferrer nofollow">'
)


def is_harmless(tag: str) -> bool:
    """One tag of the closed list, with nothing that runs, fetches or names."""
    name = re.match(r"</?([a-z0-9]+)", tag)
    if name is None or name[1] not in TAGS:
        return False
    if tag.startswith("<a "):
        return LINK.fullmatch(tag) is not None
    attributes = re.findall(r"\s([a-z]+)=\"[^\"]*\"", tag)
    allowed = {"dir", "class", "tabindex", "start", *(maths.ATTRIBUTES if name[1] in maths.TAGS else ())}
    return set(attributes) <= allowed and re.sub(r"\s[a-z]+=\"[^\"]*\"", "", tag) in (
        f"<{name[1]}>",
        f"</{name[1]}>",
    )


def tags_of(html: str) -> list[str]:
    return re.findall(r"<[^>]*>?", html)


@pytest.mark.parametrize("text", [*RUNS, *(text + "x" * MARKDOWN_LIMIT for text in RUNS)])
def test_hostile_text_stays_text(text: str) -> None:
    assert [tag for tag in tags_of(render_markdown(text)) if not is_harmless(tag)] == []


@pytest.mark.parametrize("html", MUTATES)
def test_the_second_fence_holds_alone(html: str) -> None:
    tags = "".join(tags_of(rendering._clean(html)))
    assert {match[1] for match in re.finditer(r"</?([^\s>/]+)", tags)} <= TAGS
    assert not re.search(r"\s(on\w+|style|id|xlink:href|mathcolor|title)=|javascript:", tags)


@pytest.mark.parametrize(("text", "seen"), SHOWN)
def test_text_of_all_scripts_is_seen_as_it_was_meant(text: str, seen: str) -> None:
    assert re.sub("<[^>]*>", "", render_markdown(text)) == f"{seen}\n"


def test_markdown_is_rendered_with_a_direction_for_each_block() -> None:
    html = render_markdown(
        "# Title\n\nA **word**, ~~gone~~.\n\n- one\n- שתיים\n\n> said\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |"
    )
    for part in (
        '<h1 dir="auto">Title</h1>',
        "<strong>word</strong>",
        "<s>gone</s>",
        '<li dir="auto">שתיים</li>',
        '<blockquote dir="auto">',
        '<td dir="auto" class="align-center">1</td>',
    ):
        assert part in html


def test_links_open_apart_and_tell_nobody_where_they_came_from() -> None:
    html = render_markdown("[x](https://example.org/a?b=1&c=2) <mailto:ada@example.org>")
    assert html.count('target="_blank"') == html.count('rel="noopener noreferrer nofollow"') == 2


def test_addresses_in_plain_text_are_no_links() -> None:
    assert "<a" not in render_markdown("see https://example.org and www.example.org")


def test_an_address_without_a_scheme_is_no_link() -> None:
    assert "href" not in render_markdown("[a](/admin/) [b](#pair) [c](//evil.example) [d](sign-out)")


def test_code_runs_from_left_to_right_in_any_paragraph() -> None:
    assert '<code dir="ltr">a.b()</code>' in render_markdown("مرحبا `a.b()`")


def test_deep_lists_and_quotes_nest_no_deeper_than_a_browser_likes() -> None:
    for mark in ("> ", "- ", "1. ", "> - "):
        html = render_markdown(mark * 2_000 + "x")
        assert html.count("<li") + html.count("<blockquote") <= 20


def test_an_image_is_told_and_not_fetched() -> None:
    assert "[image: a cat]" in render_markdown("![a cat](https://example.org/cat.png)")


def test_code_is_coloured_by_classes_alone() -> None:
    html = render_markdown("```python\ndef f(): return 1\n```")
    assert '<span class="k">def</span>' in html
    assert "style=" not in html
    assert '<pre class="code" dir="ltr" tabindex="0">' in html


@pytest.mark.parametrize("language", ["", "nonsense", "../etc", "python extra words", "PYTHON"])
def test_code_in_any_language_keeps_its_text(language: str) -> None:
    assert "a &lt; b" in re.sub("<[^>]*>", "", render_markdown(f"```{language}\na < b\n```"))


def test_characters_that_turn_text_round_are_shown_as_what_they_are() -> None:
    html = render_markdown("file\u202egnp.exe and \u2066isolated\u2069")
    assert "⟨U+202E⟩" in html
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", html)


def test_hidden_characters_are_taken_out_and_joiners_stay() -> None:
    hidden = "a\u200bb\u2060c\ufeffd\u00ade\U000e0041f"
    assert render_markdown(hidden) == '<p dir="auto">abcdef</p>\n'
    needed = "नि\u200dन \u200e1\u200f 👩\u200d🔬"
    assert needed in render_markdown(needed)


def test_control_characters_and_lone_surrogates_can_be_sent() -> None:
    render_markdown("a\x1b[31m\x00\ud800b" + "\udfff" * MARKDOWN_LIMIT).encode()
    assert "␛[31m" in render_markdown("a\x1b[31m")


def test_a_long_answer_is_shown_as_it_is() -> None:
    html = render_markdown("<b>*x*</b>\n" * MARKDOWN_LIMIT)
    assert html.startswith('<div class="plain" dir="auto">&lt;b&gt;*x*&lt;/b&gt;\n')
    assert f"The first {SHOWN_LIMIT:,} of {MARKDOWN_LIMIT * 11:,} characters are shown." in html


FORMULA_MARKS = (
    *("$", "$$", "\\(", "\\[", "$a", "$a ", "$$a ", "\\(a", "\\(\\[", "$a\\$", "![$a", "[$](", "$`a"),
    *("\\[a\n", "\\[\n", "$$a\n", "$$\n", "> $$\n", "- \\[a\n", "$x$ ", "$x^2$\n\n", "$$\nx^2\n$$\n"),
)


# Each grew with the square of its length, or worse, in some renderer or lexer. A tenth of a second is usual here;
# the limit leaves room for a busy machine.
@pytest.mark.parametrize(
    "text",
    [
        "*x* " * 262_144,  # 1 MB
        "[" * MARKDOWN_LIMIT,
        "![" * (MARKDOWN_LIMIT // 2),
        "[]" * (MARKDOWN_LIMIT // 2),
        "*_" * (MARKDOWN_LIMIT // 2),
        "> " * (MARKDOWN_LIMIT // 2),
        "- " * (MARKDOWN_LIMIT // 2),
        "<!--" * (MARKDOWN_LIMIT // 4),
        "|" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 9_000,
        "```java\n" + "\n" * 7_000 + "```",
        "```cpp\n" + "a b " * 1_900 + "\n```",
        "```js\n" + '\\"' * 3_900 + "\n```",
        "$" * 1_000_000,
        *(mark * (MARKDOWN_LIMIT // len(mark)) for mark in FORMULA_MARKS),
    ],
    ids=lambda text: text[:8],
)
def test_hostile_length_is_quick(text: str) -> None:
    began = time.thread_time()  # CPU time: a guard against quadratic work, not a measurement
    render_markdown(text)
    assert time.thread_time() - began < 4
