"""How the workbench is driven: what is stored, what old or broken JSON reads as, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.core.preferences import ACTIONS, DEFAULTS, complaint, complete
from annotation.models import User
from frontend.scale import ACTIONS as ON_SCREEN

AsUser = Callable[[User], Client]
ADDRESS = "/api/v1/me/preferences"
WHOLE = {"keys": {"submit": "Enter", "undo": "z"}, "blur": False, "break_minutes": 0, "together": False}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def post(client: Client, data: Any) -> Any:
    return client.post(ADDRESS, data, content_type="application/json")


@given(stored=ANY_JSON | st.dictionaries(st.sampled_from(list(DEFAULTS)), ANY_JSON))
def test_whatever_is_stored_reads_as_something_whole_and_legal(stored: Any) -> None:
    read = complete(stored)
    assert set(read) == set(DEFAULTS)
    assert [complaint(name, value) for name, value in read.items()] == [""] * len(DEFAULTS)


def test_what_is_legal_stays_when_something_beside_it_is_broken() -> None:
    assert complete({**WHOLE, "break_minutes": "soon", "older": 1}) == {**WHOLE, "break_minutes": 50}


def test_every_action_on_the_screen_can_be_given_another_key() -> None:
    assert {action.name for action in ON_SCREEN} == set(ACTIONS)
    assert complaint("keys", {action.name: action.key for action in ON_SCREEN}) == ""


@pytest.mark.parametrize(
    "keys",
    [
        {"fly": "f"},
        {"undo": ""},
        {"undo": "uu"},
        {"undo": "Escape"},
        {"undo": "\n"},
        {"undo": None},
        {"undo": 1},
        {"undo": "u", "skip": "u"},
        [],
        "u",
        None,
    ],
)
def test_a_key_that_cannot_be_pressed_or_does_two_things_is_refused(keys: Any) -> None:
    assert complaint("keys", keys)


@pytest.mark.parametrize("minutes", [-1, 241, True, 1.5, "50", None])
def test_minutes_are_a_whole_number_in_bounds(minutes: Any) -> None:
    assert complaint("break_minutes", minutes)


def test_ada_stores_all_her_preferences_at_once(ada: User, as_user: AsUser) -> None:
    answer = post(as_user(ada), WHOLE)
    assert (answer.status_code, answer.json()) == (200, {"preferences": WHOLE})
    ada.refresh_from_db()
    assert ada.preferences == WHOLE


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"keys": {"undo": "u", "skip": "u"}}, "keys"),
        ({"keys": "u"}, "keys"),
        ({"break_minutes": 999}, "break_minutes"),
        ({"blur": "yes"}, "blur"),
        ({"together": None}, "together"),
        ({"theme": "dark"}, "theme"),
    ],
)
def test_a_wrong_preference_is_named_and_nothing_is_stored(
    ada: User, as_user: AsUser, fields: dict[str, Any], field: str
) -> None:
    answer = post(as_user(ada), {**WHOLE, **fields})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    ada.refresh_from_db()
    assert ada.preferences == {}


def test_a_stranger_has_no_preferences(client: Client, db: None) -> None:
    assert post(client, WHOLE).status_code == 401
