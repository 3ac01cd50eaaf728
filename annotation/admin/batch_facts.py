"""A batch's plan in words, section by section, for its page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from annotation.core.plan import Plan
from annotation.models import Batch

Fact = tuple[str, str, str]  # name, value, explanation


def plan_in_words(batch: Batch) -> list[tuple[str, list[Fact]]]:
    return [
        ("The week", _week(batch)),
        ("People", _people(batch)),
        ("What is sampled", _sampled(Plan.from_json(batch.plan))),
        ("Data", _data(batch)),
    ]


def _week(batch: Batch) -> list[Fact]:
    zone = batch.time_zone
    return [
        ("Opens", _moment(batch.opens_at, zone), zone if batch.opens_at else "a researcher opens it"),
        ("Seals", _moment(batch.seals_at, zone), zone if batch.seals_at else "a researcher seals it"),
        ("Target", _count(batch.target), "comparisons wanted"),
    ]


def _people(batch: Batch) -> list[Fact]:
    checks = "told afterwards" if batch.gold_feedback else "not told"
    return [
        ("People a comparison", str(batch.overlap), "overlap"),
        ("Daily target", _count(batch.daily_target), "judgments a person a day"),
        ("Quota a person", _count(batch.person_quota), "most judgments in the week"),
        ("Given to", "the qualified" if batch.needs_certificate else "everybody", "by certificate and focus"),
        (
            "Attention checks",
            f"{100 * batch.gold_rate:g} %",
            f"of the pairs a person is given; people are {checks}",
        ),
        (
            "Turn limit",
            str(batch.turn_limit),
            "user turns of a dialogue written live; 0: nobody writes prompts",
        ),
        (
            "Agreement",
            "shown" if batch.shows_agreement else "hidden",
            "to annotators, from an overlap of 2 on",
        ),
    ]


def _sampled(plan: Plan) -> list[Fact]:
    mix = plan.mix
    shares = f"{100 * mix.easy:g} / {100 * mix.middle:g} / {100 * mix.hard:g} %"
    return [
        ("Policies", ", ".join(plan.policies) or "newest and previous", "whose answers are compared"),
        ("Temperatures", f"{plan.coolest:g} to {plan.hottest:g}", "two of the range a pair"),
        ("Safety", f"{100 * mix.safety_share:g} %", "adversarial prompts"),
        ("Difficulty", shares, "easy, middle and hard prompts"),
        ("Turns", str(mix.turns), "most user turns that a prompt may be meant for"),
        ("Topics", _weights(mix.topics), "weights; one that is not named weighs 1"),
        ("Sources", _weights(mix.sources), "in the same way"),
    ]


def _data(batch: Batch) -> list[Fact]:
    named = ", ".join(str(guideline) for guideline in batch.guidelines.all())
    return [
        ("Guidelines", named or "the newest", "versions meant"),
        ("Hold-out", f"{batch.holdout:,}", "examples, at most a tenth"),
        ("Seed", str(batch.seed), "fixes side order, checks and hold-out"),
    ]


def _moment(moment: datetime | None, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%a %-d %b %Y %H:%M}" if moment else "by hand"


def _count(number: int) -> str:
    return f"{number:,}" if number else "none"


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name}: {weight:g}" for name, weight in weights.items()) or "all alike"
