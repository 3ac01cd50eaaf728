"""What helps to read two answers side by side: the parts that need no page, in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders


def node(module: str, names: str, expression: str) -> Any:
    """The value of a JavaScript expression that uses what a module of the workbench gives."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    place = Path(str(finders.find(f"frontend/workbench/{module}.js"))).as_uri()
    code = f"import {{ {names} }} from {place!r}; console.log(JSON.stringify({expression}));"
    ran = subprocess.run(
        [program, "--input-type=module", "-e", code], capture_output=True, text=True, check=True, timeout=30
    )
    return json.loads(ran.stdout)


def differing(a: str, b: str) -> Any:
    return node("difference", "differing", f"differing({json.dumps(a.split())}, {json.dumps(b.split())})")


@pytest.mark.parametrize(
    ("a", "b", "only_a", "only_b"),
    [
        ("", "", [], []),
        ("a b c", "a b c", [], []),
        ("a b c", "", [0, 1, 2], []),
        ("", "a", [], [0]),
        ("a b c d", "a x c d e", [1], [1, 4]),
        ("a b", "b a", [0], [1]),
        ("x y z", "p q r", [0, 1, 2], [0, 1, 2]),
        ("a a a", "a a", [2], []),
    ],
)
def test_words_that_only_one_side_has(a: str, b: str, only_a: list[int], only_b: list[int]) -> None:
    found = differing(a, b)
    assert (found["a"], found["b"]) == (only_a, only_b)
    kept = [[w for n, w in enumerate(t.split()) if n not in f] for t, f in ((a, found["a"]), (b, found["b"]))]
    assert kept[0] == kept[1]


def test_two_books_are_not_compared() -> None:
    texts = "Array.from({length: 3000}, (_, n) => `a${n}`), Array.from({length: 3000}, (_, n) => `b${n}`)"
    assert node("difference", "differing", f"differing({texts})") is None
    same = "Array.from({length: 9000}, (_, n) => `a${n}`)"
    assert node("difference", "differing", f"differing({same}, {same})") == {"a": [], "b": []}


@pytest.mark.parametrize("segmenter", [True, False])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, wörld!", ["Hello", "wörld"]),
        ("don't stop", ["don't", "stop"]),
        ("a == b", ["a", "=", "=", "b"]),
        ("x\n\ny", ["x", "y"]),
        ("3.14 €", ["3.14", "€"]),
    ],
)
def test_a_text_is_cut_into_words(text: str, words: list[str], segmenter: bool) -> None:
    without = "" if segmenter else "delete Intl.Segmenter, "
    found = node("difference", "wordsOf", f"({without}wordsOf({json.dumps(text)}))")
    expected = words if segmenter or "3.14" not in words else ["3", "14", "€"]
    assert [word["word"] for word in found] == expected
    assert [text[word["start"] : word["end"]] for word in found] == expected


def test_chinese_is_cut_into_words_too() -> None:
    found = node("difference", "wordsOf", 'wordsOf("我们喜欢苹果")')
    assert [word["word"] for word in found] == ["我们", "喜欢", "苹果"]


@pytest.mark.parametrize(
    ("gone", "long", "short", "view", "shift"),
    [
        (-200, 3000, 1000, 800, 0),  # the answers are not reached yet
        (0, 3000, 1000, 800, 0),
        (1100, 3000, 1000, 800, 1000),  # middle beside middle
        (2200, 3000, 1000, 800, 2000),  # end beside end
        (9000, 3000, 1000, 800, 2000),
        (500, 3000, 300, 800, 500),  # what fits the view stays in it
        (9000, 3000, 300, 800, 2700),
        (500, 3000, 2800, 800, 0),  # alike
        (500, 700, 100, 800, 0),  # nothing to scroll
        (500, 0, 0, 800, 0),
    ],
)
def test_the_shorter_answer_goes_along(gone: int, long: int, short: int, view: int, shift: int) -> None:
    values = f"{{gone: {gone}, long: {long}, short: {short}, view: {view}}}"
    assert node("together", "shiftOf", f"shiftOf({values})") == shift
