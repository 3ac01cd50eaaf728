"""The dataset card of a snapshot: README.md in the form that the Hugging Face Hub reads, with its plots.

Knows the manifest and Markdown. Must not know rows, files or the clock: equal snapshots have equal cards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.core.card_plots import bars
from annotation.core.grades import Grade, SafetyLabel
from annotation.core.markdown import quoted, table

SIZES: Final = (  # the Hub's words for a number of rows
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
PLOTS: Final = (  # file, title, what is counted, and the order of its words
    ("grade", "Rows by grade", [*(grade.value for grade in Grade), "none"]),
    ("safety", "Rows by safety label", [*(label.value for label in SafetyLabel), "none"]),
)

FIELDS: Final = """| Field | What it holds |
|---|---|
| `id` | Key of the comparison; with `each/1` a number behind it. |
| `messages` | The dialogue as `{role, content}`, ending with the user's turn. |
| `chosen`, `rejected` | The answer that was preferred, and the other. |
| `grade` | How much better, in four steps; null: not said. |
| `margin` | The number m(r) of the grade, in units of reward. |
| `safety` | `chosen_safe`, `both_safe` or `both_unsafe`; null: not asked. |
| `focus` | `helpfulness` or `safety`. |
| `judgments`, `weight` | People behind the row, and the share of them who agree with it. |
| `prompt`, `dialogue`, `batch` | Keys of the prompt and the dialogue, and the name of the week. |
| `chosen_policy`, `rejected_policy` | Which model version answered; empty: not known. |
| `split` | `train` or `test`. No prompt stands in both, nor does one that resembles it. |
"""


@dataclass(frozen=True, slots=True)
class Card:
    """`manifest` is the snapshot's without the list of files; `languages` are codes of its prompts."""

    manifest: Mapping[str, Any]
    languages: Sequence[str]


def card_files(card: Card) -> list[tuple[str, str, str]]:
    """(path, media type, text) of the plots and of README.md."""
    plots = [
        (f"plots/{word}.svg", "image/svg+xml", bars(title, _counted(card.manifest, word, order)))
        for word, title, order in PLOTS
    ]
    return [*plots, ("README.md", "text/markdown", _front(card) + _body(card.manifest))]


def size_category(rows: int) -> str:
    return next((word for limit, word in SIZES if rows < limit), "n>10M")


def _front(card: Card) -> str:
    """The YAML above the text. Strings stand as JSON, which YAML reads."""
    rows = card.manifest["counts"]
    splits = [split for split in ("train", "test") if rows.get(f"split: {split}")] or ["train"]
    lines = ["---", f"pretty_name: {quoted(card.manifest['name'])}"]
    if card.languages:
        lines += ["language:", *(f"- {quoted(language)}" for language in card.languages)]
    lines += ["size_categories:", f"- {size_category(card.manifest['rows'])}"]
    lines += [
        "tags:",
        "- preference",
        "- human-feedback",
        "- reward-model",
        "configs:",
        "- config_name: default",
        "  data_files:",
    ]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "---", "", ""])


def _body(manifest: Mapping[str, Any]) -> str:
    title = manifest["name"] + (f", version {manifest['version']}" if manifest["version"] > 1 else "")
    parts = [
        f"# {_plain(title)}",
        f"{manifest['rows']:,} preferences of {_people(manifest['annotators'])}: each is a dialogue, two answers, "
        "which of them was preferred, and how much.",
        _replaces(manifest),
        "## How it was made",
        table(("", ""), _facts(manifest)),
        "## What is in it",
        _counts(manifest["counts"]),
        *(f"![{title}](plots/{word}.svg)" for word, title, _ in PLOTS),
        "## Fields",
        FIELDS.strip(),
        "Rows stand by week and key, so equal data are equal bytes. `manifest.json` holds the hash of every file.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _people(number: int) -> str:
    return f"{number:,} people" if number != 1 else "one person"


def _replaces(manifest: Mapping[str, Any]) -> str:
    parent = manifest["parent"]
    if parent is None:
        return ""
    before = f"version {parent['version']} (`{parent['sha256'][:16]}`)"
    return f"It takes the place of {before}: {_plain(manifest['reason'])}"


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    recipe = manifest["recipe"]
    margins = ", ".join(
        f"{grade.replace('_', ' ')} {value:.6g}" for grade, value in manifest["margins"].items()
    )
    left = [
        f"{len(recipe[f'without_{who}'])} {who}"
        for who in ("annotators", "prompts")
        if recipe[f"without_{who}"]
    ]
    only = [*recipe["focuses"], *recipe["languages"], *recipe["categories"]]
    facts = [
        ("Weeks", ", ".join(batch["name"] for batch in manifest["batches"])),
        ("Guidelines", ", ".join(manifest["guidelines"])),
        ("Several judgments of a pair", manifest["aggregation"]),
        ("Margins", f"{manifest['margin_table']}: {margins}"),
        ("Only", ", ".join(only)),
        ("Least agreement", str(recipe["min_agreement"] or "")),
        ("Fewest judgments", str(recipe["min_judgments"]) if recipe["min_judgments"] > 1 else ""),
        ("Left out", ", ".join(left)),
        ("Schema", str(manifest["schema"])),
        ("Made by", f"Margin {manifest['code_version']}"),
        ("SHA-256 of the content", f"`{manifest['sha256']}`"),
    ]
    return [(name, _plain(value)) for name, value in facts if value]


def _counts(counts: Mapping[str, int]) -> str:
    rows = []
    for name, count in counts.items():
        group, _, word = name.partition(": ")
        rows.append((group.capitalize(), word.replace("_", " "), f"{count:,}"))
    return table(("", "", "Rows"), rows) if rows else "It holds no rows."


def _counted(manifest: Mapping[str, Any], word: str, order: Sequence[str]) -> list[tuple[str, int]]:
    return [(name.replace("_", " "), manifest["counts"].get(f"{word}: {name}", 0)) for name in order]


def _plain(text: str) -> str:
    """Text of people's as a line of Markdown that is nothing but text."""
    line = " ".join(text.split())
    return "".join(f"\\{one}" if one in "\\|[]<>*#" else one for one in line)
