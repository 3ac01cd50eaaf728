"""Which version of a focus is current: by the rule, by somebody's decision, and back again.

Whatever is done is a further row of Promotion, with its line in the audit and its event in one transaction. Two at once
want the same number of their focus, so that one of them is refused and nothing of it stays.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import IntegrityError, transaction

from annotation.core.events import Event
from annotation.errors import ConflictError
from annotation.models import User
from annotation.services.audit import record
from annotation.services.webhooks import announce
from rewardmodel.core.promotion import How
from rewardmodel.errors import InvalidReasonError, NotPromotedError
from rewardmodel.models import Promotion, RewardModelVersion
from rewardmodel.standing import Evidence, evidence_of, newest_promotion, version_before, why_not

LONGEST_REASON: Final = 1_000  # characters


@transaction.atomic
def promote_reward_model(
    *, version: RewardModelVersion, reason: str = "", by: User | None = None
) -> Promotion:
    """Make a version current because the figures pass the rule, or because its focus has no current one.

    Raises:
        ConflictError: it is current, or another one was promoted in the same moment.
        NotPromotedError: the figures do not pass, or there are none; says what to do.
    """
    newest = newest_promotion(version.focus)
    _refuse_current(version, newest)
    if newest is None:
        return _enter(version, None, How.FIRST, reason=_checked(reason), by=by)
    evidence = evidence_of(version, newest.version)
    if evidence is None or not evidence.passes:
        raise NotPromotedError(f"{version.name} was not promoted. {why_not(newest.version, evidence)}")
    return _enter(version, newest, How.RULE, reason=_checked(reason), evidence=evidence, by=by)


@transaction.atomic
def override_promotion(*, version: RewardModelVersion, reason: str, by: User) -> Promotion:
    """Make a version current because somebody says so, and why. The figures that there are stay with it.

    Raises:
        InvalidReasonError: no reason is given.
        ConflictError: it is current, or another one was promoted in the same moment.
    """
    reason = _checked(reason)
    if not reason:
        raise InvalidReasonError(
            "Nothing was promoted. Say why this version is to be used all the same.",
            errors=[{"field": "reason", "reason": "Say why."}],
        )
    newest = newest_promotion(version.focus)
    _refuse_current(version, newest)
    evidence = evidence_of(version, newest.version) if newest else None
    return _enter(version, newest, How.OVERRIDE, reason=reason, evidence=evidence, by=by)


@transaction.atomic
def roll_back_promotion(
    *, version: RewardModelVersion, reason: str = "", by: User | None = None
) -> Promotion:
    """Take back the promotion of `version`, the current one: what stood before it is current again.

    Raises:
        ConflictError: another version is current by now, or there is none to go back to.
    """
    newest = newest_promotion(version.focus)
    if newest is None or newest.version_id != version.pk:
        current = f"{newest.version.name} is" if newest else "No version is"
        raise ConflictError(
            f"{version.name} is not current, so there is nothing to roll back. {current} current now."
        )
    target = version_before(version.focus)
    if target is None:
        raise ConflictError(
            f"There is nothing to go back to: no {version.focus} model was current before {version.name}. "
            "Promote another one instead."
        )
    before = RewardModelVersion.objects.get(pk=target)
    return _enter(before, newest, How.ROLLBACK, reason=_checked(reason), by=by)


def promote_unasked(*, version: RewardModelVersion) -> Promotion | None:
    """What becomes of a version that has just been registered: nobody is asked, and none of it can fail."""
    try:
        return promote_reward_model(version=version)
    except ConflictError:  # it waits for somebody, and its page says why
        return None


def _refuse_current(version: RewardModelVersion, newest: Promotion | None) -> None:
    if newest is not None and newest.version_id == version.pk:
        raise ConflictError(f"{version.name} is the current {version.focus} model already.")


def _checked(reason: str) -> str:
    """Raises InvalidReasonError."""
    reason = reason.strip()
    wrong = ""
    if len(reason) > LONGEST_REASON:
        wrong = f"It has {len(reason):,} characters; {LONGEST_REASON:,} are enough."
    elif "\0" in reason:
        wrong = "A NUL character cannot be stored."
    if wrong:
        raise InvalidReasonError(
            f"Nothing was promoted. The reason: {wrong}", errors=[{"field": "reason", "reason": wrong}]
        )
    return reason


def _enter(
    version: RewardModelVersion,
    newest: Promotion | None,
    how: How,
    *,
    reason: str,
    evidence: Evidence | None = None,
    by: User | None,
) -> Promotion:
    """The row, its line in the audit and its event."""
    previous = newest.version if newest else None
    try:
        with transaction.atomic():  # a savepoint: what refuses the row leaves the transaction usable
            row = Promotion.objects.create(
                version=version,
                focus=version.focus,
                number=newest.number + 1 if newest else 1,
                previous=previous,
                how=how,
                reason=reason,
                by=by,
                evidence=evidence.as_json() if evidence else {},
            )
    except IntegrityError:
        raise ConflictError(
            f"Another {version.focus} model was promoted in the same moment. Nothing was done; look again."
        ) from None
    detail: dict[str, Any] = {"how": how, "previous": previous.name if previous else None}
    if how is How.ROLLBACK:
        record("rewardmodel.rolled_back", version, by=by, **detail, reason=reason)
    else:
        record("rewardmodel.promoted", version, by=by, **detail, reason=reason)
    announce(
        Event.REWARD_MODEL_PROMOTED,
        {
            "id": version.pk,
            "name": version.name,
            "focus": version.focus,
            "how": how,
            "previous": {"id": previous.pk, "name": previous.name} if previous else None,
        },
    )
    return row
