"""The words of the audit: what each action is called, and how a line of it is read and exported.

Knows actions, sentences and cells. Must not know rows or pages. A test finds every action that the code records here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

HOUSE: Final = "The house"

# After the actor's name; "{}" is the name of the object, which else comes last.
PHRASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attempt.reviewed": "marked",
        "batch.changed": "changed what {} offers",
        "batch.imported": "imported judgments into",
        "batch.open": "opened",
        "batch.planned": "planned",
        "batch.sealed": "sealed",
        "certificate.granted": "granted {} a certificate",
        "certificate.renewed": "renewed the certificate of",
        "certificate.revoked": "revoked the certificate of",
        "flag.handled": "decided on the flag of",
        "gold.activated": "has drawn again the",
        "gold.added": "made a check:",
        "gold.promoted": "promoted pairs of {} to checks",
        "gold.retired": "retired the",
        "guideline.added": "put in force",
        "guideline.reported": "dealt with the report on",
        "invitation.made": "invited",
        "invitation.revoked": "revoked the invitation of",
        "iteration.begun": "began",
        "iteration.moved": "moved on",
        "iteration.paused": "paused",
        "iteration.resumed": "resumed",
        "person.account_closed": "closed the account of",
        "person.account_opened": "opened the account of",
        "person.added": "made an account for",
        "person.changed": "changed the account of",
        "person.joined": "joined as",
        "person.languages_changed": "changed the languages of",
        "person.paused": "paused",
        "person.resumed": "ended the pause of",
        "person.role_changed": "changed the role of",
        "person.warned": "warned",
        "person.warning_ended": "ended the warning of",
        "policy.endpoint_set": "set the response server of",
        "policy.registered": "registered the policy",
        "prompt.categorised": "set the category of",
        "prompt.imported": "imported prompts, from",
        "prompt.pooled": "put into the pool the prompt",
        "prompt.taken_out": "took out of the pool the prompt",
        "prompt.written": "wrote the prompt",
        "review.approved": "approved a judgment on",
        "review.corrected": "set the label of",
        "review.dismissed": "left the difference on {} as it is",
        "review.retracted": "took back a decision on",
        "review.returned": "returned a judgment on",
        "rewardmodel.promoted": "made current the reward model",
        "rewardmodel.registered": "registered the reward model",
        "rewardmodel.rolled_back": "went back to the reward model",
        "run.cancelled": "cancelled",
        "run.queued": "queued",
        "run.retried": "queued again",
        "snapshot.asked": "asked for the snapshot",
        "snapshot.failed": "could not write the snapshot",
        "snapshot.formats_asked": "asked for further formats of",
        "snapshot.retried": "asked again for the snapshot",
        "snapshot.withdrawn": "withdrew the snapshot",
        "snapshot.written": "wrote the snapshot",
        "token.made": "made the access token",
        "token.revoked": "revoked the access token",
        "step.activated": "put in use the step",
        "step.added": "added the step",
        "step.changed": "changed the step",
        "step.copied": "copied the step",
        "step.deactivated": "took out of use the step",
        "step.deleted": "deleted the step",
        "step.moved": "moved the step",
        "webhook.added": "added the webhook",
        "webhook.changed": "changed the webhook",
        "webhook.deleted": "deleted the webhook",
        "webhook.secret_replaced": "replaced the secret of the webhook",
        "webhook.switched_off": "switched off the webhook",
    }
)

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "batch": "Weeks",
        "prompt": "Prompts",
        "guideline": "Guidelines",
        "snapshot": "Snapshots",
        "review": "Review",
        "flag": "Flags",
        "gold": "Attention checks",
        "person": "People",
        "invitation": "Invitations",
        "token": "Access tokens",
        "certificate": "Certificates",
        "step": "Qualification",
        "attempt": "Written tests",
        "run": "Runs",
        "policy": "Policies",
        "rewardmodel": "Reward models",
        "iteration": "Iterations",
        "webhook": "Webhooks",
    }
)

# What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def actions_of(group: str) -> list[str]:
    """All actions on one kind of thing."""
    return [action for action in PHRASES if action.partition(".")[0] == group]


def sentence(action: str, actor: str) -> tuple[str, str]:
    """What stands before and after the object's name: ("Rosa sealed ", "")."""
    phrase = PHRASES.get(action, action.partition(".")[2].replace("_", " "))
    before, _, after = (phrase if "{}" in phrase else f"{phrase} {{}}").partition("{}")
    return f"{actor or HOUSE} {before}", after


def detail_words(detail: Mapping[str, Any]) -> str:
    """What was changed, in a line; a pair of old and new as "old → new"."""
    return " · ".join(f"{name.replace('_', ' ')}: {_value_words(value)}" for name, value in detail.items())


def _value_words(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return " → ".join(one or "—" for one in value)
    if isinstance(value, str | int | float) or value is None:
        return "—" if value in (None, "") else str(value)
    return json.dumps(value, ensure_ascii=False)


def safe_cell(value: str) -> str:
    """Text that a spreadsheet shows and never computes (OWASP, CSV injection): what it could take for a formula gets
    an apostrophe in front."""
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) or value.startswith(_FORMULA) else value
