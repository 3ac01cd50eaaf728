"""The forms that plan a week and change it, in the sections in which they are shown.

Knows the fields of services.batches.Offer and of core.plan.Plan. Services have the last word on what may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.utils.timezone import make_naive

from annotation.core.grades import Focus
from annotation.core.plan import HOTTEST, Plan
from annotation.models import Batch, Guideline
from annotation.overview import guidelines_of
from annotation.services.batches import Offer, Proposal, offer_of

PERCENT: Final = 100
WIDE: Final = frozenset({"name", "policies", "topics", "sources"})
IN_PERCENT: Final = ("safety_share", "easy", "middle", "hard")
ZONES: Final = sorted(available_timezones() - {"localtime"})


def _moment(help_text: str, label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(required=False, widget=widget, label=label, help_text=help_text)


def _count(help_text: str, **options: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=0, initial=0, help_text=help_text, **options)


def _percent(initial: float, label: str, help_text: str, most: float = 100) -> forms.FloatField:
    return forms.FloatField(min_value=0, max_value=most, initial=initial, label=label, help_text=help_text)


class WeightsField(forms.CharField):
    """Names and weights, as in "cooking: 2, law: 0"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=2000, **options)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return ", ".join(f"{name}: {weight:g}" for name, weight in value.items())
        return value

    def to_python(self, value: Any) -> Any:
        parts = [part.rpartition(":") for part in (super().to_python(value) or "").split(",") if part.strip()]
        try:
            return {name.strip(): float(weight) for name, _, weight in parts}
        except ValueError:
            raise forms.ValidationError("Write names and weights, as in cooking: 2, law: 0.") from None


class OfferForm(forms.Form):
    """What a batch is for its annotators, and when."""

    sections: ClassVar[dict[str, list[str]]] = {
        "The week": ["opens_at", "seals_at", "time_zone", "target"],
        "People": ["daily_target", "person_quota", "needs_certificate", "turn_limit", "shows_agreement"],
        "Attention checks": ["gold_rate", "gold_feedback"],
        "What is sampled": [
            "policies",
            "coolest",
            "hottest",
            "safety_share",
            "easy",
            "middle",
            "hard",
            "turns",
            "topics",
            "sources",
        ],
        "Guidelines": ["helpfulness", "safety"],
    }

    opens_at = _moment("Empty: by hand.", "Opens at")
    seals_at = _moment("What is sent later is refused. Empty: by hand.", "Seals at")
    time_zone = forms.CharField(
        initial="UTC",
        label="Time zone",
        help_text="Of the two times, as in Europe/Berlin.",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
    )
    target = _count("Comparisons wanted; 0: no target.", max_value=100_000_000)
    daily_target = _count(
        "Judgments that one person is asked for a day; 0: no target.", label="Daily target", max_value=10_000
    )
    person_quota = _count(
        "Most judgments that one person may make in the week; 0: no limit.",
        label="Quota a person",
        max_value=1_000_000,
    )
    needs_certificate = forms.BooleanField(
        required=False,
        label="Qualified people alone",
        help_text="Pairs of a focus go to people with its certificate.",
    )
    turn_limit = forms.IntegerField(
        min_value=0,
        max_value=50,
        initial=4,
        label="Turn limit",
        help_text="User turns that a dialogue written live may have; 0: nobody writes prompts.",
    )
    shows_agreement = forms.BooleanField(
        required=False,
        initial=True,
        label="Show agreement",
        help_text="Annotators see how often they choose as most others do, from an overlap of 2 on.",
    )
    gold_rate = _percent(
        0, "How many", "Percent of the pairs that a person is given. They come unannounced.", most=50
    )
    gold_feedback = forms.BooleanField(
        required=False,
        label="Tell people afterwards",
        help_text="After a check they see what was expected, and why.",
    )
    policies = forms.CharField(
        required=False,
        max_length=500,
        help_text="Names, newest first, separated by commas. Empty: the newest and the one before it.",
    )
    coolest = forms.FloatField(min_value=0, max_value=HOTTEST, initial=0.7, label="Lowest temperature")
    hottest = forms.FloatField(
        min_value=0,
        max_value=HOTTEST,
        initial=1.0,
        label="Highest temperature",
        help_text="The two responses of a pair are drawn at two temperatures of this range.",
    )
    safety_share = _percent(25, "Safety", "Percent of adversarial prompts.")
    easy = _percent(
        60, "Easy", "Percent of prompts of the easiest third, of those whose difficulty is estimated."
    )
    middle = _percent(30, "Middle", "Prompts without an estimate count here.")
    hard = _percent(10, "Hard", "Percent of prompts of the hardest third. The three add up to 100.")
    turns = forms.IntegerField(
        min_value=1, max_value=50, initial=1, help_text="Most user turns that a prompt may be meant for."
    )
    topics = WeightsField(
        help_text="Weights by topic, as in cooking: 2, law: 0. One that is not named weighs 1."
    )
    sources = WeightsField(help_text="Weights by source, in the same way.")
    helpfulness = forms.ModelChoiceField(
        guidelines_of(Focus.HELPFULNESS), required=False, empty_label="the newest version"
    )
    safety = forms.ModelChoiceField(
        guidelines_of(Focus.SAFETY), required=False, empty_label="the newest version"
    )

    def clean(self) -> dict[str, Any]:
        """The two times are meant by the clock of the chosen zone."""
        values = super().clean() or {}
        zone = values.get("time_zone", "")
        if zone and zone not in ZONES:
            self.add_error("time_zone", "There is no such time zone. An example: Europe/Berlin.")
            return values
        for name in ("opens_at", "seals_at"):
            if values.get(name):
                values[name] = make_naive(values[name]).replace(tzinfo=ZoneInfo(zone))
        return values

    def fieldsets(self) -> Iterator[tuple[str, list[tuple[forms.BoundField, bool]]]]:
        """Each section's fields, and whether one takes the whole width."""
        for title, names in self.sections.items():
            yield title, [(self[name], name in WIDE) for name in names]

    def offer(self) -> Offer:
        values = self.cleaned_data
        mix = {
            **{name: values[name] / PERCENT for name in IN_PERCENT},
            **{name: values[name] for name in ("turns", "topics", "sources")},
        }
        plan = {
            "policies": [name.strip() for name in values["policies"].split(",") if name.strip()],
            "coolest": values["coolest"],
            "hottest": values["hottest"],
            "mix": mix,
        }
        return Offer(
            turn_limit=values["turn_limit"],
            daily_target=values["daily_target"],
            shows_agreement=values["shows_agreement"],
            time_zone=values["time_zone"],
            opens_at=values["opens_at"],
            seals_at=values["seals_at"],
            target=values["target"],
            person_quota=values["person_quota"],
            needs_certificate=values["needs_certificate"],
            gold_rate=values["gold_rate"] / PERCENT,
            gold_feedback=values["gold_feedback"],
            plan=plan,
        )

    def guidelines(self) -> list[Guideline]:
        return [row for row in (self.cleaned_data["helpfulness"], self.cleaned_data["safety"]) if row]


class PlanForm(OfferForm):
    sections = {
        "": ["name"],
        **OfferForm.sections,
        "People": ["overlap", *OfferForm.sections["People"]],
        "Data": ["holdout", "seed"],
    }

    name = forms.CharField(max_length=100, required=False, help_text="Empty: called after its number.")
    overlap = forms.IntegerField(
        min_value=1, max_value=50, initial=1, help_text="How many people judge each comparison."
    )
    holdout = forms.IntegerField(
        min_value=0,
        initial=1000,
        label="Hold-out",
        help_text="Examples held out for testing at sealing; small batches hold out a tenth.",
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="Fixes side order, checks and hold-out."
    )


def initial_of(batch: Batch) -> dict[str, Any]:
    return _initial(offer_of(batch), list(batch.guidelines.all()))


def initial_from(proposal: Proposal) -> dict[str, Any]:
    own = {name: getattr(proposal, name) for name in ("overlap", "holdout", "seed")}
    return {**_initial(proposal.offer, proposal.guidelines), **own}


def _initial(offer: Offer, guidelines: list[Guideline]) -> dict[str, Any]:
    plan = Plan.from_json(offer.plan)
    shown = ("turn_limit", "daily_target", "shows_agreement", "time_zone", "target", "person_quota")
    return {
        **{name: getattr(offer, name) for name in (*shown, "needs_certificate", "gold_feedback")},
        "opens_at": _by_the_wall(offer.opens_at, offer.time_zone),
        "seals_at": _by_the_wall(offer.seals_at, offer.time_zone),
        "gold_rate": round(offer.gold_rate * PERCENT, 6),
        "policies": ", ".join(plan.policies),
        "coolest": plan.coolest,
        "hottest": plan.hottest,
        **{name: round(getattr(plan.mix, name) * PERCENT, 6) for name in IN_PERCENT},
        **{name: getattr(plan.mix, name) for name in ("turns", "topics", "sources")},
        **{guideline.focus: guideline for guideline in guidelines},
    }


def _by_the_wall(moment: datetime | None, zone: str) -> datetime | None:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if moment else None
