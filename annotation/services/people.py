"""Accounts that the house makes itself."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.core.grades import Focus
from annotation.core.preferences import complete
from annotation.core.records import content_key
from annotation.models import Role, User
from annotation.services.leases import give_back


@transaction.atomic
def ensure_simulated(name: str) -> User:
    """A simulated annotator; cannot sign in, and always has the same pseudonym."""
    username = f"simulated:{name}"
    defaults = {
        "pseudonym": f"annotator-{content_key('annotator', username)[:10]}",
        "imported": True,
        "role": Role.ANNOTATOR,
        "password": "!",  # unusable
    }
    return User.objects.get_or_create(username=username, defaults=defaults)[0]


@transaction.atomic
def ensure_person(*, username: str, password: str, role: Role) -> User:
    """An account that signs in; one that exists gets the password and the role."""
    user, _ = User.objects.get_or_create(username=username)
    user.role = role
    user.is_staff = role.includes(Role.RESEARCHER)
    user.set_password(password)
    user.save()
    return user


@transaction.atomic
def set_safety_consent(*, annotator: User, agreed: bool) -> User:
    """Agree to be given safety pairs, or stop: what is in their hands and unjudged then goes back to others."""
    User.objects.filter(pk=annotator.pk).update(safety_consent_at=timezone.now() if agreed else None)
    if not agreed:
        give_back(annotator=annotator, focus=Focus.SAFETY)
    annotator.refresh_from_db(fields=["safety_consent_at"])
    return annotator


@transaction.atomic
def set_preferences(*, annotator: User, preferences: dict[str, Any]) -> dict[str, Any]:
    """Store how the workbench looks and is driven; `preferences` has been checked."""
    annotator.preferences = complete(preferences)
    annotator.save(update_fields=["preferences"])
    return complete(annotator.preferences)
