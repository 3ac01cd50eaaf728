"""What templates ask that Django's own tags cannot say."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from annotation.models import Role, User
from annotation.rendering import render_markdown

register = template.Library()


@register.filter
def may(user: object, role: str) -> bool:
    """Whether somebody has a role or one above it."""
    return isinstance(user, User) and user.may(Role(role))


@register.filter
def markdown(text: str) -> SafeString:
    """Rendered Markdown; annotation.rendering has made it safe."""
    return mark_safe(render_markdown(text))  # noqa: S308


@register.simple_tag
def key(name: str) -> SafeString:
    """A key of the keyboard. A hint for eyes alone: what it does is told beside it."""
    return format_html('<kbd aria-hidden="true">{}</kbd>', name)
