"""The admin's sidebar, in the order of the loop: data become models, models become policies, runs do the work."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from annotation.models import Role, User


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links in the shape that unfold reads. Who reviews and does nothing else sees that alone."""
    user = request.user
    if not (isinstance(user, User) and user.may(Role.RESEARCHER)):
        return [_review()]
    return [
        {"items": [_item("This week", "calendar_view_week", "index")]},
        _group(
            "Data",
            _list("Batches", "inventory_2", "annotation_batch"),
            _item("Import", "upload_file", "annotation_batch_import"),
            _list("Prompts", "edit_note", "annotation_prompt"),
            _list("Dialogues", "forum", "annotation_dialogue"),
            _list("Responses", "chat_bubble", "annotation_response"),
            _list("Comparisons", "compare", "annotation_comparison"),
            _list("Judgments", "how_to_vote", "annotation_judgment"),
            _list("Guidelines", "menu_book", "annotation_guideline"),
            _list("Snapshots", "lock", "annotation_snapshot"),
        ),
        _review(),
        _group(
            "Models",
            _list("Reward models", "straighten", "rewardmodel_rewardmodelversion"),
            _list("Policies", "smart_toy", "training_policyversion"),
        ),
        _group(
            "Loop",
            _list("Iterations", "autorenew", "training_iteration"),
            _list("Runs", "play_circle", "training_run"),
            _list("Access tokens", "key", "annotation_accesstoken"),
            _list("Webhooks", "webhook", "annotation_webhook"),
        ),
        _people(user),
    ]


def _review() -> dict[str, Any]:
    return _group(
        "Review",
        _item("Disagreements", "balance", "annotation_review_queue"),
        _list("People against the model", "swap_horiz", "rewardmodel_pairscore"),
        _list("Flags", "flag", "annotation_pass"),
        _list("Reports on guidelines", "rate_review", "annotation_guidelinereport"),
        _list("Written tests", "edit_document", "annotation_attempt"),
    )


def _people(user: User) -> dict[str, Any]:
    may_invite = user.may(Role.ADMINISTRATOR)
    return _group(
        "People",
        _list("People", "group", "annotation_user"),
        *([_list("Invitations", "mail", "annotation_invitation")] if may_invite else []),
        _list("Qualification", "school", "annotation_qualificationstep"),
        _list("Attention checks", "fact_check", "annotation_gold"),
        _list("Audit", "history", "annotation_auditevent"),
    )


def _group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


def _list(title: str, icon: str, model: str) -> dict[str, Any]:
    return _item(title, icon, f"{model}_changelist")


def _item(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
