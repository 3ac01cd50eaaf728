"""In which language a page speaks: the person's choice in a cookie, else what their browser asks for.

The admin stays English until all of it is translated: half a page in each language helps nobody.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation


class LanguageMiddleware(LocaleMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if request.path.startswith("/admin/"):
            translation.activate("en")
            request.LANGUAGE_CODE = translation.get_language()
