"""People in the admin: researchers look, administrators decide, and no password is ever shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Role, User
from annotation.services.people import ensure_simulated
from tests.factories import make_user

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]


@pytest.fixture
def rosas(as_user: AsUser, rosa: User) -> Client:
    return as_user(rosa)


def page(client: Client, user: User) -> str:
    answer = client.get(reverse("admin:annotation_user_change", args=(user.pk,)))
    assert answer.status_code == 200
    return answer.content.decode()


def test_researchers_see_people_and_change_none(rosas: Client, ada: User) -> None:
    text = page(rosas, ada)
    assert "annotator-ada" in text
    assert ada.password not in text
    rosas.post(reverse("admin:annotation_user_change", args=(ada.pk,)), {"role": "administrator"})
    assert rosas.get(reverse("admin:annotation_user_add")).status_code == 403
    assert rosas.get(reverse("admin:auth_user_password_change", args=(ada.pk,))).status_code == 403
    ada.refresh_from_db()
    assert ada.role == Role.ANNOTATOR


@pytest.fixture
def root(db: None) -> User:
    return make_user("root", role=Role.ADMINISTRATOR)


def test_an_administrator_gives_a_role_and_the_mark_of_staff_follows(
    as_user: AsUser, root: User, ada: User
) -> None:
    values = {"username": "ada", "role": "researcher", "is_active": "on"}
    as_user(root).post(reverse("admin:annotation_user_change", args=(ada.pk,)), values)
    ada.refresh_from_db()
    assert (ada.role, ada.is_staff) == (Role.RESEARCHER, True)


def test_an_administrator_makes_an_account_that_signs_in(as_user: AsUser, root: User) -> None:
    password = "a long enough one"
    values = {
        "username": "cleo",
        "role": "reviewer",
        "usable_password": "true",
        "password1": password,
        "password2": password,
    }
    as_user(root).post(reverse("admin:annotation_user_add"), values)
    cleo = User.objects.get(username="cleo")
    assert cleo.check_password(password)
    assert (cleo.role, cleo.is_staff) == (Role.REVIEWER, False)


def test_nobody_takes_the_role_from_themselves(as_user: AsUser, root: User) -> None:
    values = {"username": "root", "role": "annotator", "first_name": "Ruth"}
    as_user(root).post(reverse("admin:annotation_user_change", args=(root.pk,)), values)
    root.refresh_from_db()
    assert (root.first_name, root.role, root.is_active) == ("Ruth", Role.ADMINISTRATOR, True)


def test_whoever_was_made_by_an_import_never_gets_to_sign_in(as_user: AsUser, root: User) -> None:
    simulated = ensure_simulated("one")
    client = as_user(root)
    place = reverse("admin:auth_user_password_change", args=(simulated.pk,))
    assert client.get(place).status_code == 403
    text = page(client, simulated)
    assert place not in text
    assert "signs in" not in text


def test_a_password_is_set_and_never_shown(as_user: AsUser, root: User, ada: User) -> None:
    client = as_user(root)
    text = page(client, ada)
    assert ada.password not in text
    assert reverse("admin:auth_user_password_change", args=(ada.pk,)) in text
    password = "another long one"
    client.post(
        reverse("admin:auth_user_password_change", args=(ada.pk,)),
        {"usable_password": "true", "password1": password, "password2": password},
    )
    ada.refresh_from_db()
    assert ada.check_password(password)
