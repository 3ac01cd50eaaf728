"""What changed between two texts, word by word, as HTML.

Knows text alone. Everything is escaped, so that the result is safe whatever the texts hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from html import escape
from typing import Final

WORDS_AT_MOST: Final = 6_000  # of both together; difflib is quadratic in the worst case
AROUND: Final = 8  # unchanged words that are kept on either side of a change
_WORD: Final = re.compile(r"\s*\S+")


@lru_cache(maxsize=64)  # versions never change, and comparing long ones takes seconds at worst
def difference_html(before: str, after: str) -> str:
    """`<ins>` and `<del>` round the words that changed, a few words round each, `…` for what is left out.

    Empty where no word changed. Texts too long to compare are said to have changed as a whole.
    """
    # Every word begins with its gap, the first one too: any of them may come to stand behind another.
    old, new = _WORD.findall(f" {before.lstrip()}"), _WORD.findall(f" {after.lstrip()}")
    if [word.strip() for word in old] == [word.strip() for word in new]:
        return ""
    if len(old) + len(new) > WORDS_AT_MOST:
        return "<p>Too much changed to mark every word: read the whole text.</p>"
    return f'<div class="plain" dir="auto">{"".join(_pieces(old, new)).strip()}</div>'


def _pieces(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    bare = [word.strip() for word in old], [word.strip() for word in new]
    steps = SequenceMatcher(None, *bare, autojunk=False).get_opcodes()
    for at, (what, a, b, c, d) in enumerate(steps):
        if what == "equal":
            yield _kept(new[c:d], is_first=at == 0, is_last=at == len(steps) - 1)
            continue
        if b > a:
            yield _marked("del", old[a:b])
        if d > c:
            # What replaces something stands beside it, whatever line it began.
            yield _marked("ins", new[c:d] if b == a else [f" {new[c].lstrip()}", *new[c + 1 : d]])


def _kept(words: Sequence[str], *, is_first: bool, is_last: bool) -> str:
    head, tail = 0 if is_first else AROUND, 0 if is_last else AROUND
    if len(words) <= head + tail + 1:
        return escape("".join(words))
    end = words[len(words) - tail :] if tail else []
    return f"{escape(''.join(words[:head]))} …{escape(''.join(end))}"


def _marked(tag: str, words: Sequence[str]) -> str:
    text = "".join(words)
    gap = text[: len(text) - len(text.lstrip())]
    return f"{gap}<{tag}>{escape(text.strip())}</{tag}>"
