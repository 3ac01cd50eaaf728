"""The composition root as a Django app: system checks, logging, the house of files."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks, logs  # noqa: PLC0415  apps must be loaded first

        logs.configure(form=settings.LOG_FORMAT, level=settings.LOG_LEVEL)
        checks.make_home()


class PanelConfig(AdminConfig):
    """Django's admin with our own site in it."""

    default = False
    default_site = "config.panel.PanelSite"
