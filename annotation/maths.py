r"""Formulas in TeX, as models write them ($…$, $$…$$, \(…\), \[…\]), to MathML that a browser sets by itself.

Knows which text is a formula and which a price, and what MathML may hold. Must not know pages or Markdown's other
rules. What cannot be read, or is too long, is left to the caller, which shows its source.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape, unescape
from typing import Final
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# Characters of one formula, and of all formulas of one text: reading costs some 15 µs a character at worst.
TEX_LIMIT: Final = 2_000
TEX_BUDGET: Final = 10_000
DEPTH_LIMIT: Final = 60  # nested elements: browsers stumble over hundreds

# Presentation alone: no links, actions, annotations, styles, identifiers, and no colours, which could hide text.
_TOKENS: Final = ("mi", "mn", "mo", "mtext", "mspace")
_SCRIPTS: Final = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
_BOXES: Final = ("math", "mrow", "mfrac", "msqrt", "mroot", "mstyle", "mpadded", "mphantom", "menclose")
TAGS: Final = frozenset((*_TOKENS, *_SCRIPTS, *_BOXES, "mtable", "mtr", "mtd"))
_CHILDREN: Final = {
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
_WORD: Final = re.compile(r"[a-z -]{1,60}")
_NUMBER: Final = re.compile(r"[0-3]")
# Nothing reaches further than some lines: a formula must not cover what stands beside it.
_LENGTH: Final = re.compile(r"[+-]?(0|\d?(\.\d{1,3})?(em|ex)|\d{1,2}(\.\d{1,3})?(px|pt|mm))")
_ATTRIBUTES: Final = {
    **dict.fromkeys(("display", "mathvariant", "form", "columnalign", "notation"), _WORD),
    **dict.fromkeys(("stretchy", "fence", "separator", "accent", "movablelimits", "displaystyle"), _WORD),
    **dict.fromkeys(("width", "height", "depth", "lspace", "rspace", "voffset"), _LENGTH),
    **dict.fromkeys(("linethickness", "minsize", "maxsize"), _LENGTH),
    "scriptlevel": _NUMBER,
}
ATTRIBUTES: Final = frozenset(_ATTRIBUTES)
_NAMED_LENGTHS: Final = {
    "thinmathspace": ".167em",
    "thickmathspace": ".278em",
    "negativethinmathspace": "-.167em",
    "negativemediummathspace": "-.222em",
    "negativethickmathspace": "-.278em",
}

# A formula ends at the next mark of its own kind, or is none: so each mark is looked past once, whatever comes.
_FORMULAS: Final = {
    "$$": re.compile(r"\$\$(?!\$)((?:[^$\\`]|\\.)++)\$\$(?!\$)", re.DOTALL),
    "$": re.compile(r"\$(?![\s$])((?:[^$\\`]|\\.)++)(?<!\s)\$(?![\w${])", re.DOTALL),
    "\\(": re.compile(r"\\\(((?:[^\\`]|\\[^()])++)\\\)", re.DOTALL),
    "\\[": re.compile(r"\\\[((?:[^\\`]|\\[^\[\]])++)\\\]", re.DOTALL),
}
_SIGNS: Final = re.compile(r"[\\^_={}<>+]")
_PROSE: Final = re.compile(r"\s[^\W\d_]{2,}|[^\W\d_]{2,}\s")

# Macros could grow without bound. Only the reader's own commands are read.
_DEFINES: Final = re.compile(r"\\(?:def|newcommand|newenvironment|DeclareMathOperator)(?![a-zA-Z])")
_LINES: Final = ("gather", "gathered", "multline", "multlined")
_COLUMNS: Final = ("align", "aligned", "alignat", "alignedat", "eqnarray", "split", "flalign")
_ENVIRONMENTS: Final = {
    **dict.fromkeys(_LINES, "matrix"),
    **dict.fromkeys(_COLUMNS, "align*"),
    **dict.fromkeys(("equation", "displaymath", "math"), ""),
    "dcases": "cases",
}
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\s*\{(\w+)\*?\}(?:(?<=at\})\{\d+\}|(?<=at\*\})\{\d+\})?")
_ROMAN: Final = re.compile(r"\\mathrm\s*\{([a-zA-Z])\}")  # the reader gives a plain letter, which would slant
_NOT_EQUAL: Final = re.compile(r"\\not\s*=")  # the reader overlays a stroke that fonts lack
_LABEL: Final = re.compile(r"\\label\s*\{[^{}]*\}|\\(?:nonumber|notag)(?![a-zA-Z])")


class UnreadableError(Exception):
    """The source says it better."""


def maths_plugin(markdown: MarkdownIt) -> None:
    """Tokens maths_inline, maths_display (within a line) and maths_block; `markup` is the opening mark."""
    markdown.inline.ruler.before("escape", "maths", _inline)
    alternatives: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.before("fence", "maths", _block, alternatives)


def source_of(tex: str, opening: str) -> str:
    return opening + tex + {"\\(": "\\)", "\\[": "\\]"}.get(opening, opening)


def _inline(state: StateInline, silent: bool) -> bool:
    opening = _opening(state.src, state.pos)
    found = _FORMULAS[opening].match(state.src, state.pos, state.posMax) if opening else None
    if found is None or not _is_formula(found[1], opening):
        return False
    # "US$3", "5$": a dollar behind a letter or digit is a price's.
    before = state.src[state.pos - 1] if state.pos else " "
    if opening.startswith("$") and (before.isalnum() or before == "$"):
        return False
    if not silent:
        kind = "maths_display" if opening in ("$$", "\\[") else "maths_inline"
        token = state.push(kind, "math", 0)
        token.content, token.markup = found[1], opening
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    first = state.bMarks[start] + state.tShift[start]
    opening = _opening(state.src, first)
    if opening not in ("$$", "\\[") or state.is_code_block(start):
        return False
    closing = opening if opening == "$$" else "\\]"
    lines = [state.src[first : state.eMarks[start]].rstrip()]
    line = start
    while len(lines[-1]) < (4 if line == start else 2) or not lines[-1].endswith(closing):
        line += 1
        if line >= end or state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip())
        if opening in lines[-1].removesuffix(closing) or "`" in lines[-1]:
            return False
    found = _FORMULAS[opening].fullmatch("\n".join(lines))
    if found is None or not _is_formula(found[1], opening):
        return False
    if not silent:
        token = state.push("maths_block", "math", 0)
        token.block, token.content, token.markup, token.map = True, found[1], opening, [start, line + 1]
        state.line = line + 1
    return True


def _opening(text: str, at: int) -> str:
    two = text[at : at + 2]
    return two if two in _FORMULAS else "$" if two[:1] == "$" else ""


def _is_formula(tex: str, opening: str) -> bool:
    r"""Not "$5 or so, and 10$", "\[1\]", "\(see above\)": words without any sign of TeX are prose."""
    if not tex.strip():
        return False
    is_bracketed_word = opening == "\\[" and not tex[0].isspace()
    return bool(_SIGNS.search(tex)) or not (is_bracketed_word or _PROSE.search(tex))


@lru_cache(maxsize=2048)
def mathml(tex: str, *, display: bool) -> str:
    """MathML of elements and attributes from the closed lists alone.

    Raises:
        UnreadableError: too long, too deep, defines macros, or holds what the reader does not know.
    """
    if len(tex) > TEX_LIMIT or _DEFINES.search(tex):
        raise UnreadableError
    try:
        tree = convert_to_element(_prepared(tex, display), display="block" if display else "inline")
    except Exception as error:  # the reader raises whatever it stumbles over
        raise UnreadableError from error
    parts: list[str] = []
    _write(tree, parts, 1)
    return "".join(parts)


def _prepared(tex: str, display: bool) -> str:
    """The same formula in the commands that the reader knows."""
    tex = _NOT_EQUAL.sub(r"\\neq ", _ROMAN.sub(r"\\text{\1}", _LABEL.sub("", tex)))
    tex = tex.replace("\\tag", "\\quad\\tag")
    if display and "\\\\" in tex and "\\begin" not in tex:
        return f"\\begin{{matrix}}{tex}\\end{{matrix}}"
    return _ENVIRONMENT.sub(_known_environment, tex)


def _known_environment(found: re.Match[str]) -> str:
    known = _ENVIRONMENTS.get(found[2])
    if known is None:
        return found[0]
    return f"\\{found[1]}{{{known}}}" if known else ""


def _write(element: Element, parts: list[str], depth: int) -> None:
    # The reader's texts hold references ("&#x2211;"), its attributes the author's words.
    text = unescape(element.text or "")
    is_unknown = element.tag in ("mi", "mo") and (text == "&" or (len(text) > 1 and text[0] == "\\"))
    is_whole = len(element) == _CHILDREN.get(element.tag, len(element))
    if depth > DEPTH_LIMIT or element.tag not in TAGS or is_unknown or not is_whole:
        raise UnreadableError
    attributes = "".join(
        f' {name}="{value}"' for name, value in _attributes(element) if _ATTRIBUTES[name].fullmatch(value)
    )
    parts.append(f"<{element.tag}{attributes}>{escape(text)}")
    for child in element:
        _write(child, parts, depth + 1)
    parts.append(f"</{element.tag}>")


def _attributes(element: Element) -> list[tuple[str, str]]:
    pairs = ((name, _NAMED_LENGTHS.get(value, value)) for name, value in element.items())
    return [(name, value) for name, value in pairs if name in _ATTRIBUTES]
