"""What templates ask that Django's own tags cannot say."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from annotation.models import Role, User
from annotation.rendering import render_markdown
from frontend.scale import ACTIONS, KEY_NAMES

register = template.Library()
DEFAULT_KEYS = {action.name: action.key for action in ACTIONS}


@register.filter
def may(user: object, role: str) -> bool:
    """Whether somebody has a role or one above it."""
    return isinstance(user, User) and user.may(Role(role))


@register.filter
def markdown(text: str) -> SafeString:
    """Rendered Markdown; annotation.rendering has made it safe."""
    return mark_safe(render_markdown(text))  # noqa: S308


@register.simple_tag
def key(action: str) -> SafeString:
    """The key of an action, until the script puts the person's own in its place. A hint for eyes alone: what it
    does is told beside it."""
    shown = KEY_NAMES.get(DEFAULT_KEYS[action], DEFAULT_KEYS[action])
    return format_html('<kbd aria-hidden="true" data-action="{}">{}</kbd>', action, shown)
