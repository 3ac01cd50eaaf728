"""The browser's session, where several tabs and answers on their way share one cookie."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse


class TabbedSessionMiddleware(SessionMiddleware):
    """Django's, but an answer "you are signed out" leaves the cookie alone: since it was asked, the same browser may
    have signed in again in another tab, and the late answer would sign it out."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        answer = super().process_response(request, response)
        if answer.status_code == 401:
            answer.cookies.pop(settings.SESSION_COOKIE_NAME, None)
        return answer
