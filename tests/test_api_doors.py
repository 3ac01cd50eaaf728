"""Every address of the API, found by walking the URLs: who may not come in is kept out of each, whoever added it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import pytest
import structlog
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from annotation.api.kit.views import ApiView
from annotation.core.scopes import Scope
from annotation.models import Role, User
from annotation.services.tokens import make_token
from tests.factories import make_user

AsUser = Callable[[User], Client]
METHODS: Final = ("get", "post", "put", "patch", "delete")
# Looked at by everybody who is signed in: the workbench, and what the API is.
VALUES: Final = {
    "uuid": str(UUID(int=1)),
    "int": "1",
    "key": "0" * 32,
    "slug": "helpfulness",
    "str": "word",
    "path": "data/train.jsonl",
}


def addresses(patterns: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each address below /api/, with something in the place of what varies, and its view."""
    for one in patterns or get_resolver().url_patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver):
            if not route or route.startswith("api/"):
                yield from addresses(one.url_patterns, route)
        elif isinstance(one, URLPattern) and route.startswith("api/"):
            filled = re.sub(r"<(\w+):\w+>", lambda found: VALUES[found.group(1)], route)
            yield f"/{re.sub(r'<[a-z]+>', 'word', filled)}", one.callback


ALL: Final = sorted(addresses(), key=lambda pair: pair[0])
PATHS: Final = sorted({path for path, _ in ALL})
# What the kit's views guard: the data, and not the workbench or the schema.
DATA: Final = [(p, v.cls) for p, v in ALL if issubclass(getattr(v, "cls", object), ApiView)]
DATA_PATHS: Final = sorted({path for path, view in DATA if view.role is not Role.ANNOTATOR})


def ask(client: Client, method: str, path: str, **options: Any) -> Any:
    return getattr(client, method)(path, {} if method != "get" else None, **options)


def test_the_walk_finds_the_addresses() -> None:
    assert {"/api/v1/prompts", "/api/v1/judgments", "/api/v1/comparisons/next", "/api/v1/live"} <= set(PATHS)
    assert len(DATA_PATHS) > 15


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_comes_in_nowhere(db: None, path: str) -> None:
    for method in METHODS:
        answer = ask(Client(), method, path, content_type="application/json")
        # The page of the documentation sends people to sign in; lean views name a wrong method first.
        assert answer.status_code in (401, 403, 405) or (answer.status_code, path) == (302, "/api/v1/docs")


@pytest.mark.parametrize("path", DATA_PATHS)
def test_an_annotator_gets_no_data(ada: User, as_user: AsUser, path: str) -> None:
    for method in METHODS:
        answer = ask(as_user(ada), method, path, content_type="application/json")
        # Of an address that two kinds of views share, the workbench's method is an annotator's own.
        allowed = (401, 403, 404, 405, 415, 422) if path == "/api/v1/judgments" else (401, 403, 404)
        assert answer.status_code in allowed, (method, path)


@pytest.mark.parametrize("path", DATA_PATHS)
def test_a_token_without_the_scope_gets_nothing(db: None, path: str) -> None:
    petra = make_user("petra", role=Role.ADMINISTRATOR)
    views = {view for found, view in DATA if found == path}
    for method in METHODS:
        needed = {view.reads if method == "get" else view.writes for view in views}
        others = [scope for scope in Scope if scope not in needed]
        _, text = make_token(user=petra, name="narrow", scopes=others)
        answer = ask(
            Client(),
            method,
            path,
            content_type="application/json",
            headers={"Authorization": f"Bearer {text}"},
        )
        assert answer.status_code in (401, 403, 404, 405), (method, path)


@pytest.mark.parametrize(("path", "view"), DATA)
def test_every_view_names_its_role_and_the_scope_of_what_it_does(path: str, view: type[ApiView]) -> None:
    if hasattr(view, "get"):
        assert view.reads is not None or view.any_scope or path.startswith("/api/v1/tokens"), path
    if any(hasattr(view, method) for method in ("post", "put", "patch", "delete")):
        assert view.writes is not None or path.startswith("/api/v1/tokens"), path


@pytest.mark.parametrize("path", DATA_PATHS)
def test_a_form_of_another_site_changes_nothing(db: None, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("petra", role=Role.ADMINISTRATOR))
    for method in ("post", "put", "patch", "delete"):
        answer = ask(client, method, path, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), (method, path)


@pytest.mark.parametrize("path", DATA_PATHS)
def test_what_breaks_shows_no_traceback(rosa: User, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the key under the mat")

    monkeypatch.setattr("annotation.api.kit.views.require_role", broken)
    client = Client(raise_request_exception=False)
    client.force_login(rosa)
    with structlog.testing.capture_logs():
        answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert b"mat" not in answer.content
    assert b"Traceback" not in answer.content
