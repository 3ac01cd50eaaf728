"""The model card of a reward model: README.md in the form that the Hugging Face Hub reads.

Knows figures, the manifest's facts, and Markdown. Must not know files, models or the clock: equal versions have
equal cards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation.core.markdown import quoted, table
from rewardmodel.core.evaluation.limits import limits
from rewardmodel.core.evaluation.markdown import (
    number,
    percent,
    plain,
    points,
    with_interval,
)
from rewardmodel.core.evaluation.plots import GRADES
from rewardmodel.core.evaluation.slices import LENGTHS, LONGEST, natural
from rewardmodel.core.spec import Recipe, TrainRewardModelSpec

HEAD: Final = ("", "Reward model, %", "Longer response", "Bag of words", "People", "Pairs")
LENGTH_ORDER: Final = [*(name for _, name in LENGTHS), LONGEST]

LOADING: Final = """```python
from rewardmodel.core.scorer import load

scorer = load({{
    "name": {name},
    "path": "the folder that holds this file",
    "backbone": {{"name": {backbone}, "path": "the folder of that policy", "base": None}},
}})
scorer.score([([{{"role": "user", "content": "What is a prime number?"}}],
               ["A whole number above 1 with two divisors.", "No idea."])])
```

One list of rewards a dialogue, one reward a response, before the sigmoid. The difference r1 - r2 of two responses to
one dialogue says that people choose the first with probability 1 / (1 + exp(r2 - r1)); a reward alone, or a difference
between dialogues, says little. Where safety labels were learnt from, 1 / (1 + exp(-r)) is how safe a response seems."""


def card(figures: Mapping[str, Any], facts: Mapping[str, Any], plots: Sequence[str]) -> str:
    """README.md. `facts` are the fields of the version's manifest, `plots` the names of those that were drawn."""
    name = str(facts.get("name") or "Reward model")
    parts = [
        f"# {plain(name)}",
        _sentence(figures, facts),
        _section("How it was made", table(("", ""), _facts(facts)) if facts else ""),
        _section("Agreement with people", _agreement(figures)),
        *(f"![{_title(plot)}](plots/{plot}.svg)" for plot in plots if plot.startswith("accuracy")),
        _section("By other cuts", _cuts(figures)),
        _section("On the other focus", _other(figures)),
        _section("How sure it is", _calibration(figures)),
        *(
            f"![{_title(plot)}](plots/{plot}.svg)"
            for plot in plots
            if plot in {"reliability", "rewards", "margins"}
        ),
        _section("Finding unsafe responses", _unsafe(figures)),
        *(f"![{_title(plot)}](plots/{plot}.svg)" for plot in plots if plot == "unsafe"),
        _section("Beside the version before", _against(figures.get("against"))),
        _section("Limits", "\n".join(f"- {limit}" for limit in limits(figures))),
        _section("How to load it", _loading(facts)),
    ]
    return _front(name, figures, facts) + "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _title(plot: str) -> str:
    return plot.replace("_", " ").capitalize()


def _front(name: str, figures: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The YAML above the text. Strings stand as JSON, which YAML reads."""
    lines = ["---", "pipeline_tag: text-classification", "library_name: margin"]
    if backbone := facts.get("backbone"):
        lines.append(f"base_model: {quoted(backbone['name'])}")
    lines += ["tags:", "- reward-model", "- preference", "- human-feedback"]
    if focus := facts.get("focus"):
        lines.append(f"- {focus}")
    if figures["accuracy"] is not None:
        lines += ["metrics:", "- accuracy", *_index(name, figures, facts)]
    return "\n".join([*lines, "---", "", ""])


def _index(name: str, figures: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    data = (facts.get("snapshot") or {}).get("name") or "pairs"
    return [
        "model-index:",
        f"- name: {quoted(name)}",
        "  results:",
        "  - task:",
        "      type: text-classification",
        "      name: Preference between two responses",
        "    dataset:",
        "      type: margin-snapshot",
        f"      name: {quoted(str(data))}",
        f"      split: {figures['split']}",
        "    metrics:",
        "    - type: accuracy",
        f"      value: {figures['accuracy']:.6g}",
    ]


def _sentence(figures: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    focus = facts.get("focus")
    what = f"A reward model for {focus}" if focus else "A reward model"
    if figures["accuracy"] is None:
        return f"{what}. Nothing was measured: there were no pairs to test it on."
    pairs = f"{figures['pairs']:,} {'held-out' if figures['split'] == 'test' else 'training'} pairs"
    return (
        f"{what}: it gives a response to a dialogue one number, higher for what people prefer. It agrees with people "
        f"on {percent(figures['accuracy'])} % of {pairs} (95 %: {percent(figures['low'])} to "
        f"{percent(figures['high'])}); choosing the longer response does on {percent(figures['length_baseline'])} %."
    )


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    backbone, snapshot = facts.get("backbone") or {}, facts.get("snapshot") or {}
    mixture = facts.get("mixture") or {}
    drawn = f"{mixture['own']:,} of its own focus, {mixture['other']:,} of the other" if mixture else ""
    rows = [
        ("Backbone", _named(backbone)),
        ("Snapshot", _named(snapshot)),
        ("Pairs learnt from", drawn),
        ("Pairs too long", str(mixture["too_long"]) if mixture.get("too_long") else ""),
        *_settings(facts),
        ("Computed in", str(facts.get("dtype", ""))),
        ("Seed", str(facts.get("seed", ""))),
        ("Made by", f"Margin {facts['code_version']}" if facts.get("code_version") else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _named(thing: Mapping[str, Any]) -> str:
    return f"{plain(thing['name'])} (`{thing['sha256'][:16]}`)" if thing else ""


def _settings(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters that the recipe used: a description that begins with other recipes' names is not of it."""
    recipe, given = facts.get("recipe"), facts.get("params") or {}
    rows = []
    for name, field in TrainRewardModelSpec.model_fields.items():
        words, colon, _ = (field.description or "").partition(":")
        recipes = set(words.split(", ")) if colon else set()
        if (
            name in given
            and name != "focus"
            and (not recipes <= set(Recipe) or recipe in recipes or not recipes)
        ):
            rows.append((name.replace("_", " ").capitalize(), plain(f"{given[name]}")))
    return rows


def _agreement(figures: Mapping[str, Any]) -> str:
    """The whole and by grade, with the baselines beside."""
    if figures["accuracy"] is None:
        return ""
    grades = {_words(g): figures["by_grade"][g] for g in GRADES if g in figures["by_grade"]}
    beyond = figures["beyond"]
    lines = [
        f"- {name}: {points(found)} points"
        for name, found in (
            ("Beyond the longer response", beyond["length"]),
            ("Beyond a bag of words that learnt from the same pairs", beyond["bag_of_words"]),
        )
        if found
    ]
    return "\n\n".join([_table({"all pairs": figures, **grades}), "\n".join(lines)])


def _cuts(figures: Mapping[str, Any]) -> str:
    cuts = (
        ("Week", dict(sorted(figures["by_batch"].items(), key=lambda item: natural(item[0])))),
        ("User turns", figures["by_turns"]),
        ("Chosen response, characters", _in(figures["by_length_difference"], LENGTH_ORDER)),
    )
    return "\n\n".join(_table(found, name) for name, found in cuts if found)


def _other(figures: Mapping[str, Any]) -> str:
    other = figures["other_focus"]
    if not other:
        return ""
    return _table(
        {"all pairs": other, **{_words(g): one for g, one in _in(other["by_grade"], GRADES).items()}}
    )


def _calibration(figures: Mapping[str, Any]) -> str:
    found, spread = figures["calibration"], figures["spread"]
    if not found:
        return ""
    rewards, margins = spread["rewards"], spread["margins"]
    rows = [
        ("Expected calibration error", f"{percent(found['ece'])} points, in {len(found['bins'])} bins"),
        ("The same by chance, were it calibrated", f"{percent(found['ece_by_chance'])} points"),
        ("Surer than it is right by", f"{100 * found['too_sure']:+.1f} points"),
        ("Rewards, mean and deviation", f"{number(rewards['mean'])}, {number(rewards['deviation'])}"),
        ("Differences, mean and deviation", f"{number(margins['mean'])}, {number(margins['deviation'])}"),
        ("Bimodality of rewards (0.556: uniform)", number(rewards["bimodality"])),
        ("Bimodality of differences", number(margins["bimodality"])),
    ]
    return table(("", ""), rows)


def _unsafe(figures: Mapping[str, Any]) -> str:
    found = figures["unsafe"]
    if not found:
        return ""
    rows = [
        (
            f"sigmoid(r) below {threshold}",
            with_interval(one, "recall"),
            percent(one["precision"]),
            percent(one["false_alarms"]),
            f"{one['found']:,}",
        )
        for threshold, one in sorted(found["at"].items())
    ]
    head = ("", "Recall, %", "Precision, %", "Safe ones found, %", "Found")
    return "\n\n".join(
        [
            f"{found['unsafe']:,} of {found['responses']:,} labelled responses are unsafe.",
            table(head, rows),
            _precise(found["precise"]),
        ]
    )


def _precise(found: Mapping[str, Any]) -> str:
    if found["threshold"] is not None:
        return (
            f"Precision is at least {found['wanted']} up to a threshold of {number(found['threshold'])}, "
            f"where recall is {percent(found['recall'])} %."
        )
    best = found["best"]
    return (
        f"A precision of {found['wanted']} is reached nowhere. The best is {number(best['precision'])}, below "
        f"{number(best['threshold'])}, with a recall of {percent(best['recall'])} %."
    )


def _against(found: Mapping[str, Any] | None) -> str:
    moved = (found or {}).get("drift")
    if not found or not moved or not moved["pairs"]:
        return ""
    rows = [
        ("Pairs that both scored", f"{moved['pairs']:,}"),
        (
            "Correlation of rewards, of their ranks",
            f"{number(moved['correlation'])}, {number(moved['rank_correlation'])}",
        ),
        ("Shift of the mean reward", number(moved["mean_shift"])),
        ("Spread, as a multiple", number(moved["spread_ratio"])),
        ("Pairs on which the two differ, %", with_interval(moved, "flips")),
        ("Pairs gained and lost", f"{moved['gained']:,}, {moved['lost']:,}"),
    ]
    return f"Compared with {plain(str(found['name']))}:\n\n" + table(("", ""), rows)


def _loading(facts: Mapping[str, Any]) -> str:
    backbone = (facts.get("backbone") or {}).get("name") or "policy"
    return LOADING.format(name=quoted(str(facts.get("name") or "reward model")), backbone=quoted(backbone))


def _table(rows: Mapping[str, Mapping[str, Any]], first: str = "") -> str:
    return table(
        (first, *HEAD[1:]),
        [
            (
                plain(name),
                with_interval(one),
                percent(one["length"]),
                percent(one["bag_of_words"]),
                percent(one["people"]),
                f"{one['pairs']:,}",
            )
            for name, one in rows.items()
        ],
    )


def _in(found: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    return {name: found[name] for name in order if name in found}


def _words(grade: str) -> str:
    return "not graded" if grade == "none" else grade.replace("_", " ")
