"""The admin's sidebar, in the order of the loop: data become models, models become policies, runs do the work."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from annotation.models import Role, User


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of links in the shape that unfold reads. Who reviews and does nothing else sees that alone."""
    review = {
        "title": "Review",
        "separator": True,
        "items": [
            _list("Flags", "flag", "annotation_pass"),
            _list("Reports on guidelines", "rate_review", "annotation_guidelinereport"),
        ],
    }
    if not (isinstance(request.user, User) and request.user.may(Role.RESEARCHER)):
        return [review]
    return [
        {"items": [_item("This week", "calendar_view_week", "index")]},
        {
            "title": "Data",
            "separator": True,
            "items": [
                _list("Batches", "inventory_2", "annotation_batch"),
                _list("Prompts", "edit_note", "annotation_prompt"),
                _list("Dialogues", "forum", "annotation_dialogue"),
                _list("Responses", "chat_bubble", "annotation_response"),
                _list("Comparisons", "compare", "annotation_comparison"),
                _list("Judgments", "how_to_vote", "annotation_judgment"),
                _list("Guidelines", "menu_book", "annotation_guideline"),
                _list("Snapshots", "lock", "annotation_snapshot"),
            ],
        },
        review,
        {
            "title": "Models",
            "separator": True,
            "items": [
                _list("Reward models", "straighten", "rewardmodel_rewardmodelversion"),
                _list("Policies", "smart_toy", "training_policyversion"),
            ],
        },
        {
            "title": "Loop",
            "separator": True,
            "items": [
                _list("Iterations", "autorenew", "training_iteration"),
                _list("Runs", "play_circle", "training_run"),
            ],
        },
        {
            "title": "People",
            "separator": True,
            "items": [_list("People", "group", "annotation_user")],
        },
    ]


def _list(title: str, icon: str, model: str) -> dict[str, Any]:
    return _item(title, icon, f"{model}_changelist")


def _item(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
