"""What the pages of the tests say: where somebody stands, what a step asks for, what a try came to."""

from __future__ import annotations

from datetime import datetime
from html import unescape
from math import ceil
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.template.defaultfilters import date as format_date
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from annotation.core.allocation import Nothing
from annotation.core.qualification import MOST_POINTS, Standing
from annotation.models import Attempt, AttemptState, Batch, QualificationStep, StepKind, User
from annotation.people import last_pause_by
from annotation.qualifying import Asked, StepPlace, Way, ways_of
from annotation.rendering import render_markdown
from frontend.sheets import field_of

register = template.Library()


@register.filter
def field_name(asked: Asked) -> str:
    return field_of(asked)


@register.filter
def beginning(asked: Asked) -> str:
    """The first words of a question, without its formatting."""
    return Truncator(unescape(strip_tags(render_markdown(asked.question.text)))).chars(80)


@register.filter
def minus(whole: int, part: int) -> int:
    return whole - part


def _day(moment: datetime) -> str:
    return format_date(localtime(moment), pgettext("date format", "j F Y"))


def _moment(moment: datetime) -> SafeString:
    """How far away, with the time itself on hover."""
    shown = format_date(localtime(moment), "Y-m-d H:i e")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), shown, naturaltime(moment)
    )


@register.simple_tag
def certificate_words(way: Way) -> str:
    row = way.certificate
    if row is None:
        return _("You are not qualified yet.")
    if row.expires_at is None:
        return _("You are qualified.")
    if way.certified:
        return _("You are qualified until {day}.").format(day=_day(row.expires_at))
    return _("You were qualified until {day}.").format(day=_day(row.expires_at))


@register.simple_tag
def standing_words(found: StepPlace) -> SafeString | str:
    """A step's state in a few words."""
    place = found.place
    if place.standing is Standing.OPEN:
        return _("begun: go on")
    if place.standing is Standing.WAITING:
        return _("handed in: a reviewer reads it")
    if place.valid:
        return _("passed, valid until {day}").format(day=_day(place.ends)) if place.ends else _("passed")
    if place.standing is Standing.RESTING and place.retry_at:
        return format_html(_("not passed; again {moment}"), moment=_moment(place.retry_at))
    return {
        Standing.LATER: _("after the step before it"),
        Standing.BARRED: _("not passed, and no tries are left"),
    }.get(place.standing, _("to be taken again") if found.tries else _("to be taken"))


@register.simple_tag
def again_words(found: StepPlace) -> SafeString | str:
    """When the next try may begin."""
    if found.place.retry_at is None:
        return ""
    return format_html(_("You can try again {moment}."), moment=_moment(found.place.retry_at))


def _kind(step: QualificationStep) -> str:
    return {
        StepKind.QUIZ: _("Quiz"),
        StepKind.RATING: _("Rating pairs"),
        StepKind.WRITING: _("Writing"),
    }[StepKind(step.kind)]


def _questions(found: StepPlace) -> str:
    asked, fewest = found.rules.asked, found.step.fewest
    if found.step.kind == StepKind.WRITING and fewest and fewest < asked:
        return _("{fewest} or more of {asked} pieces").format(fewest=fewest, asked=asked)
    if found.step.kind == StepKind.WRITING:
        return ngettext("{n} piece", "{n} pieces", asked).format(n=asked)
    return ngettext("{n} question", "{n} questions", asked).format(n=asked)


def _minutes(step: QualificationStep) -> str:
    return ngettext("{n} minute", "{n} minutes", step.minutes).format(n=step.minutes)


@register.simple_tag
def step_facts(found: StepPlace) -> str:
    """Kind, length and time in a line."""
    facts = [_kind(found.step), _questions(found)]
    if found.step.minutes:
        facts.append(_minutes(found.step))
    return " · ".join(facts)


def _number(value: float) -> str:
    """Up to two digits after the point: 79.6 is not shown as the 80 that were needed."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _percent(share: float | None) -> str:
    return _number(100 * (share or 0.0))


@register.filter
def step_rules(found: StepPlace) -> list[tuple[str, str]]:
    """The rules of a step as names and values."""
    step, left = found.step, found.place.left
    rules = [(_("Kind"), _kind(step)), (_("To answer"), _questions(found))]
    rules.append((_("Time"), _minutes(step) if step.minutes else _("no limit")))
    rules.append((_("To pass"), _pass_mark(found)))
    if found.place.standing != Standing.PASSED:
        rules.append((_("Tries left"), _("any number") if left is None else str(left)))
        if step.wait_hours and left != 1:
            wait = ngettext("{n} hour", "{n} hours", step.wait_hours).format(n=step.wait_hours)
            rules.append((_("Between tries"), wait))
    if step.valid_days:
        rules.append(
            (_("A pass counts"), ngettext("{n} day", "{n} days", step.valid_days).format(n=step.valid_days))
        )
    return rules


def _pass_mark(found: StepPlace) -> str:
    """In the unit that the step counts: right answers of all, or points on average."""
    step = found.step
    if step.kind == StepKind.WRITING:
        mean = _number(step.pass_share * MOST_POINTS)
        return _("{points} of {most} points on average").format(points=mean, most=MOST_POINTS)
    # 0.8 * 35 is 28.000000000000004: without rounding one more would be asked for than is needed.
    least = ceil(round(step.pass_share * found.rules.asked, 9))
    return _("{least} of {asked} right").format(least=least, asked=found.rules.asked)


@register.simple_tag
def result_words(attempt: Attempt) -> str:
    """What was reached and what was needed."""
    score, needed = attempt.score or 0.0, attempt.step.pass_share
    if attempt.step.kind == StepKind.WRITING:
        words = _("You reached {score} points of {most} on average; {needed} are needed.")
        points = [_number(MOST_POINTS * share) for share in (score, needed)]
        return words.format(score=points[0], needed=points[1], most=MOST_POINTS)
    words = _("You reached {score} %; {needed} % are needed.")
    return words.format(score=_percent(score), needed=_percent(needed))


@register.simple_tag
def attempt_words(attempt: Attempt) -> str:
    match attempt.state:
        case AttemptState.OPEN:
            return _("begun: go on")
        case AttemptState.SUBMITTED:
            return _("handed in: a reviewer reads it")
        case AttemptState.PASSED:
            return _("passed with {score} %").format(score=_percent(attempt.score))
    return _("not passed, {score} %").format(score=_percent(attempt.score))


@register.inclusion_tag("frontend/paused.html")
def paused_notice(user: User) -> dict[str, Any]:
    """Why somebody is given nothing, and whom they may ask."""
    by = last_pause_by(user)
    return {"user": user, "ask": (by.get_full_name() or by.get_username()) if by else ""}


@register.inclusion_tag("frontend/qualify_panel.html")
def qualify_panel(user: User, batch: Batch | None, is_open: bool, why: Nothing | None) -> dict[str, Any]:
    """What is next on the way to each focus. Asked for only where it matters: while no week is open, or where the
    open one asks for certificates."""
    if user.paused_at or (batch is not None and is_open and not batch.needs_certificate):
        return {"ways": []}
    ways = [way for way in ways_of(user) if way.agreed and way.next is not None]
    return {"ways": ways, "is_next": why is Nothing.NOT_QUALIFIED}
