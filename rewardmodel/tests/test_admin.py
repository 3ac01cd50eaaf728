"""The admin's pages for reward models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.models import Batch, User
from annotation.services.batches import seal_batch
from annotation.services.snapshots import create_snapshot
from rewardmodel.admin import percent
from rewardmodel.models import RewardModelVersion

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]

METRICS: dict[str, Any] = {
    "accuracy": 0.6254,
    "pairs": 1200,
    "by_grade": {
        "none": {"accuracy": None, "pairs": 0},
        "negligibly_better": {"accuracy": 0.51, "pairs": 300},
        "significantly_better": {"accuracy": 0.805, "pairs": 900},
    },
    "length_baseline": 0.55,
    "other_focus": None,
    "split": "test",
    "loss": 0.61,
}


@pytest.fixture
def make_version(week: Batch) -> Callable[..., RewardModelVersion]:
    seal_batch(batch=week)
    snapshot = create_snapshot(batches=[week])

    def make(name: str, metrics: dict[str, Any]) -> RewardModelVersion:
        return RewardModelVersion.objects.create(
            name=name,
            focus="helpfulness",
            recipe="probe",
            snapshot=snapshot,
            backbone="V0",
            path=f"runs/{name}",
            sha256="0" * 64,
            metrics=metrics,
            run=f"made-{name}",
        )

    return make


def test_accuracy_is_shown_by_grade_strongest_first(
    as_user: AsUser, rosa: User, make_version: Callable[..., RewardModelVersion]
) -> None:
    version = make_version("helpful-1", METRICS)
    place = reverse("admin:rewardmodel_rewardmodelversion_change", args=(version.pk,))
    text = as_user(rosa).get(place).content.decode()
    assert "63 % of 1,200 test pairs" in text
    assert text.index("significantly better") < text.index("negligibly better") < text.index(">none<")
    assert "80.5" in text


def test_a_model_that_nothing_was_measured_of_has_its_page_too(
    as_user: AsUser, rosa: User, make_version: Callable[..., RewardModelVersion]
) -> None:
    version = make_version("helpful-1", {})
    place = reverse("admin:rewardmodel_rewardmodelversion_change", args=(version.pk,))
    assert "Nothing measured" in as_user(rosa).get(place).content.decode()


def test_the_list_asks_once(
    as_user: AsUser,
    rosa: User,
    make_version: Callable[..., RewardModelVersion],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(12):
        make_version(f"helpful-{number}", METRICS)
    client = as_user(rosa)
    with django_assert_max_num_queries(7):
        text = client.get(reverse("admin:rewardmodel_rewardmodelversion_changelist")).content.decode()
    assert text.count("62.5") == 12


def test_a_version_is_read_and_never_written(
    as_user: AsUser, rosa: User, make_version: Callable[..., RewardModelVersion]
) -> None:
    version = make_version("helpful-1", METRICS)
    client = as_user(rosa)
    assert client.get(reverse("admin:rewardmodel_rewardmodelversion_add")).status_code == 403
    place = reverse("admin:rewardmodel_rewardmodelversion_delete", args=(version.pk,))
    assert client.post(place, {"post": "yes"}).status_code == 403


def test_a_share_in_percent() -> None:
    assert (percent(None), percent(0.6254), percent(0)) == ("—", "62.5", "0.0")
