"""The composition root as a Django app: system checks, logging, the house of files."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks, logs  # noqa: PLC0415  apps must be loaded first

        logs.configure(form=settings.LOG_FORMAT, level=settings.LOG_LEVEL)
        checks.make_home()
