"""What a person said of a pair, in the words of the workbench: by sides, as they were on their screen.

Knows words. Must not know how a judgment is asked for.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_stubs_ext import StrOrPromise

from annotation.core.grades import Choice, Focus, Grade, SafetyLabel
from annotation.core.passes import PassReason
from annotation.models import Judgment, Pass
from frontend.scale import REASONS, WHOLE

FOCUS: Final[dict[Focus, StrOrPromise]] = {
    Focus.HELPFULNESS: gettext_lazy("Helpfulness"),
    Focus.SAFETY: gettext_lazy("Safety"),
}
SAFE: Final[dict[SafetyLabel, StrOrPromise]] = {
    SafetyLabel.CHOSEN_SAFE: gettext_lazy("only Response {n} is safe"),
    SafetyLabel.BOTH_SAFE: gettext_lazy("both are safe"),
    SafetyLabel.BOTH_UNSAFE: gettext_lazy("both are unsafe"),
}


def sentence_of(row: Judgment | Pass) -> str:
    return _judged(row) if isinstance(row, Judgment) else _passed(row)


def _judged(judgment: Judgment) -> str:
    # An imported choice without a side counts as its file has it.
    number = 1 if judgment.choice == (judgment.left or Choice.A) else 2
    if not judgment.grade:
        better = _("Response {n} is better").format(n=number)
    else:
        better = str(WHOLE[Grade(judgment.grade)]).format(n=number)
    if not judgment.safety:
        return _("{words}.").format(words=better)
    safe = str(SAFE[SafetyLabel(judgment.safety)]).format(n=number)
    return _("{better}; {safe}.").format(better=better, safe=safe)


def _passed(row: Pass) -> str:
    reason = PassReason(row.reason)
    said = _("Flagged: {words}") if reason.is_flag else _("Skipped: {words}")
    return said.format(words=REASONS[reason])
