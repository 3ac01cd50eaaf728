"""System checks: what must hold before the first request. Each has an id, a sentence and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's own name


def make_home() -> None:
    """Create the folders that SQLite, the file broker and the static files expect to find."""
    settings.MARGIN_HOME.mkdir(parents=True, exist_ok=True)
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    for key in ("data_folder_in", "control_folder"):
        if folder := settings.CELERY_BROKER_TRANSPORT_OPTIONS.get(key):
            Path(folder).mkdir(parents=True, exist_ok=True)


@register()
def production_has_its_own_secrets(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if settings.SECRET_KEY == settings.DEVELOPMENT_KEY or len(settings.SECRET_KEY) < 32:
        found.append(
            Error(
                "SECRET_KEY is the development key or shorter than 32 characters.",
                hint="Set it to a long random text: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
                id="margin.E001",
            )
        )
    if settings.DEBUG:
        found.append(
            Error("DEBUG is on in production.", hint="Remove DEBUG from the environment.", id="margin.E002")
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS admits every host.",
                hint="Name the hosts: ALLOWED_HOSTS=margin.example.org",
                id="margin.E003",
            )
        )
    return found


@register()
def production_uses_servers(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if "sqlite3" in settings.DATABASES["default"]["ENGINE"]:
        found.append(
            Warning(
                "Production runs on SQLite, which admits one writer at a time.",
                hint="Set DATABASE_URL=postgres://user:password@host/name",
                id="margin.W001",
            )
        )
    if settings.CELERY_BROKER_URL.startswith("filesystem"):
        found.append(
            Warning(
                "Production uses the broker made of files, which serves one machine.",
                hint="Set CELERY_BROKER_URL=redis://host:6379/0",
                id="margin.W002",
            )
        )
    return found
