"""Untrusted Markdown to HTML that is safe to put into a page.

Responses and prompts come from models and strangers, so two fences stand one behind the other: the renderer
knows no raw HTML, and what it makes passes a closed list of tags and attributes. Formulas come from maths.py.
Knows text alone. Must not know rows, people or requests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any, Final, TypeVar

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import format as format_tokens
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from annotation import maths

# Characters. Longer texts are shown without formatting, and beyond the second limit cut, with a line that says so.
MARKDOWN_LIMIT: Final = 20_000
SHOWN_LIMIT: Final = 200_000
CODE_LIMIT: Final = 8_000
# Seconds of colouring in one text: some lexers are quadratic on hostile input. What is left is shown uncoloured.
COLOUR_BUDGET: Final = 0.15

TAGS: Final = frozenset(
    [
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
        "s",
        "del",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "div",
        *maths.TAGS,
    ]
)
ATTRIBUTES: Final = {
    **dict.fromkeys(maths.TAGS, maths.ATTRIBUTES),
    "*": {"dir"},
    "a": {"href", "target"},
    "ol": {"start"},
    "span": {"class", "tabindex"},
    "div": {"class", "tabindex"},
    "pre": {"class", "tabindex"},
    "th": {"class"},
    "td": {"class"},
}
# Some of pygments' lexers are slow on hostile input, so languages are a closed list too.
LANGUAGES: Final = frozenset(
    [
        "bash",
        "c",
        "c++",
        "cpp",
        "c#",
        "cs",
        "csharp",
        "css",
        "diff",
        "go",
        "golang",
        "html",
        "java",
        "javascript",
        "js",
        "json",
        "kotlin",
        "lua",
        "makefile",
        "php",
        "perl",
        "python",
        "py",
        "r",
        "ruby",
        "rb",
        "rust",
        "rs",
        "scala",
        "sh",
        "shell",
        "sql",
        "swift",
        "toml",
        "ts",
        "typescript",
        "xml",
        "yaml",
        "yml",
    ]
)
# Characters that reorder or hide text. Overrides are shown as what they are, invisible ones and markers taken out;
# joiners and plain direction marks stay, since scripts need them.
_REORDERING: Final = {code: f"⟨U+{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_INVISIBLE: Final = dict.fromkeys((0x00AD, 0x180E, 0x200B, 0x2060, 0xFEFF, *range(0xE0000, 0xE0080)))
_CONTROLS: Final = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)}
_VISIBLE: Final = {**_REORDERING, **_INVISIBLE, **_CONTROLS, 0x7F: "␡"}
# Surrogates on their own cannot be encoded and would break the answer that carries them.
_LONE: Final = re.compile("[\ud800-\udfff]")
_BLOCKS: Final = frozenset(
    f"{name}_open"
    for name in ("paragraph", "heading", "blockquote", "list_item", "bullet_list", "ordered_list", "th", "td")
)
_FORMATTER: Final = HtmlFormatter(nowrap=True)
_CLEANER: Final = nh3.Cleaner(
    tags=set(TAGS),
    attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    clean_content_tags={"script", "style"},
)

T = TypeVar("T")


def render_markdown(text: str) -> str:
    """Safe HTML for `text`: CommonMark with tables, strikethrough and formulas, code coloured by CSS classes.

    No raw HTML, no images, links only to http, https and mailto. Every block carries its own direction.
    """
    if len(text) > MARKDOWN_LIMIT:
        return _plain(text)
    return _render(text)


@lru_cache(maxsize=512)
def _render(text: str) -> str:
    # Once more at the end: a reference such as &#x202E; is a character only now.
    return _show(_clean(_MARKDOWN.render(_show(text))))


def _clean(html: str) -> str:
    return str(_CLEANER.clean(html))


def _plain(text: str) -> str:
    """Text of any length, as it is; cut where a browser would begin to stumble."""
    shown = escape(_show(text[:SHOWN_LIMIT]))
    html = f'<div class="plain" dir="auto">{shown}</div>'
    if len(text) > SHOWN_LIMIT:
        html += f'<p class="cut">The first {SHOWN_LIMIT:,} of {len(text):,} characters are shown.</p>'
    return html


def _show(text: str) -> str:
    return _LONE.sub("\ufffd", text.translate(_VISIBLE))


class _Renderer(RendererHTML):
    """Blocks with their direction, images as words, tables and formulas that scroll by themselves."""

    def renderToken(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: N802
        token = tokens[idx]
        if token.type in _BLOCKS:
            token.attrSet("dir", "auto")
        if token.type in ("th_open", "td_open"):
            align = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            if align in ("center", "right"):
                token.attrSet("class", f"align-{align}")
        if token.type == "link_open":
            token.attrSet("target", "_blank")
        html = super().renderToken(tokens, idx, options, env)
        if token.type == "table_open":
            return f'<div class="table" tabindex="0">{html}'
        return html + "</div>" if token.type == "table_close" else html

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """An image would be fetched from a stranger's server, so only its words are shown."""
        words = self.renderInlineAsText(tokens[idx].children or [], options, env)
        return f'<span class="image">[image: {escape(words or "without a description")}]</span>'

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        words = tokens[idx].info.split()
        deadline = env.setdefault("deadline", time.monotonic() + COLOUR_BUDGET)
        return _code(_coloured(tokens[idx].content, words[0].lower() if words else "", deadline))

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _code(escape(tokens[idx].content))

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _inline_code(tokens[idx].content)

    def maths_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        formula = _formula(tokens[idx], env, display=False)
        return formula or _inline_code(_source(tokens[idx]))

    def maths_display(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        formula = _formula(tokens[idx], env, display=True)
        if not formula:
            return _inline_code(_source(tokens[idx]))
        return f'<span class="maths" tabindex="0">{formula}</span>'

    def maths_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        formula = _formula(tokens[idx], env, display=True)
        if not formula:
            return _code(escape(_source(tokens[idx])))
        return f'<div class="maths" tabindex="0">{formula}</div>\n'


def _formula(token: Token, env: Any, *, display: bool) -> str:
    """MathML, or "" where the source has to do: unreadable, or the text has too much of it."""
    env["tex"] = env.get("tex", 0) + len(token.content)
    if env["tex"] > maths.TEX_BUDGET:
        return ""
    try:
        return maths.mathml(token.content, display=display)
    except maths.UnreadableError:
        return ""


def _source(token: Token) -> str:
    return maths.source_of(token.content, token.markup)


def _inline_code(code: str) -> str:
    return f'<code dir="ltr">{escape(code)}</code>'


def _code(html: str) -> str:
    # Focusable, so that a long line can be scrolled to from the keyboard.
    return f'<pre class="code" dir="ltr" tabindex="0"><code>{html}</code></pre>'


def _coloured(code: str, language: str, deadline: float) -> str:
    if language not in LANGUAGES or len(code) > CODE_LIMIT:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
        return str(format_tokens(_until(deadline, lexer.get_tokens(code)), _FORMATTER))
    except (ClassNotFound, TimeoutError):
        return escape(code)


def _until(deadline: float, tokens: Iterable[T]) -> Iterator[T]:
    for token in tokens:
        if time.monotonic() > deadline:
            raise TimeoutError
        yield token


_MARKDOWN: Final = MarkdownIt(
    "commonmark", {"html": False, "linkify": False, "maxNesting": 20}, renderer_cls=_Renderer
).enable(["table", "strikethrough"])
maths.maths_plugin(_MARKDOWN)
