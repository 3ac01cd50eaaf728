"""The admin's pages for data and people."""

from django.contrib import admin
from django.contrib.auth.models import Group

from annotation.admin import (
    adjudication,
    attempts,
    audit,
    batches,
    data,
    gold,
    guidelines,
    invitations,
    people,
    prompts,
    qualification,
    reviews,
    snapshots,
    tokens,
    webhooks,
)

# Roles say who may what; groups would be a second answer to the same question.
admin.site.unregister(Group)

__all__ = [
    "adjudication",
    "attempts",
    "audit",
    "batches",
    "data",
    "gold",
    "guidelines",
    "invitations",
    "people",
    "prompts",
    "qualification",
    "reviews",
    "snapshots",
    "tokens",
    "webhooks",
]
