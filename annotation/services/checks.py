"""Marking attention checks, and what several marks mean for a person.

Called inside the transaction that stores a judgment, so that neither is ever there without the other.
"""

from __future__ import annotations

from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.checking import answer_of
from annotation.core.attention import GoldWatch, Standing, StandingState, score_gold, standing_of
from annotation.models import GoldMark, Judgment, User
from annotation.services.audit import record
from annotation.services.people import pause_person
from annotation.votes import vote_of

WATCH: Final = GoldWatch()


def mark_check(*, judgment: Judgment) -> GoldMark | None:
    """Hold somebody's first answer to a check against what is right, and warn or pause them where their latest ones
    give cause. None: it is an ordinary pair, or they answered before, and what they change does not count."""
    gold = judgment.comparison.gold
    if gold is None or judgment.supersedes_id is not None:
        return None
    scored = score_gold(vote_of(judgment), answer_of(gold))
    mark = GoldMark.objects.create(
        gold=gold,
        annotator=judgment.annotator,
        judgment=judgment,
        right=scored.right,
        detail={"off": scored.off, "steps": scored.steps},
    )
    _act_on(judgment.annotator, standing(judgment.annotator))
    return mark


def standing(annotator: User) -> Standing:
    """What the latest marks say of somebody: those since a pause ended, of checks that are still held to be right."""
    marks = GoldMark.objects.filter(annotator=annotator, gold__active=True)
    # Asked anew: whoever holds `annotator` may have read it before the pause ended.
    since = User.objects.values_list("resumed_at", flat=True).get(pk=annotator.pk)
    if since is not None:
        marks = marks.filter(created_at__gt=since)
    newest = marks.order_by("-created_at", "-pk").values_list("right", flat=True)[: WATCH.window]
    return standing_of(list(newest)[::-1], WATCH)


def _act_on(person: User, found: Standing) -> None:
    right = round(found.share * found.count)
    if found.state is StandingState.PAUSED:
        _set_warned(person, False)
        words = _(
            "Some pairs have a known answer. Of your last {count}, {right} were as expected, so you are given no "
            "more for now. What you did is kept, and somebody will talk to you about it."
        )
        pause_person(person=person, reason=words.format(count=found.count, right=right), by=None)
    elif found.state is StandingState.WARNED:
        if _set_warned(person, True):
            record("person.warned", person, by=None, right=right, checks=found.count)
    elif _set_warned(person, False):
        record("person.warning_ended", person, by=None, right=right, checks=found.count)


def _set_warned(person: User, is_warned: bool) -> bool:
    """Whether that changed anything. Of two judgments at once one warns."""
    at = timezone.now() if is_warned else None
    changed = User.objects.filter(pk=person.pk, warned_at__isnull=is_warned).update(warned_at=at)
    if changed:
        person.warned_at = at
    return bool(changed)
