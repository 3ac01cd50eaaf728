"""Accounts that the house makes itself."""

from __future__ import annotations

from django.db import transaction

from annotation.core.records import content_key
from annotation.models import Role, User


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
