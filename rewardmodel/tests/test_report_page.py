"""A reward model's report on its page. Rosa researches, Ada rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from annotation.models import User
from rewardmodel.models import RewardModelVersion
from rewardmodel.tests.scores import make_version

pytestmark = pytest.mark.django_db

AsUser = Callable[[User], Client]
PLOT = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def version(settings: LazySettings, tmp_path: Path) -> RewardModelVersion:
    settings.MARGIN_HOME = tmp_path
    made = make_version()
    plots = tmp_path / made.path / "plots"
    plots.mkdir(parents=True)
    (plots / "reliability.svg").write_text(PLOT)
    (plots.parent / "README.md").write_text("# helpful-1\n")
    (plots.parent / "head.safetensors").write_text("not for a page")
    return made


def place(name: str, version: RewardModelVersion, *more: str) -> str:
    return reverse(f"admin:rewardmodel_rewardmodelversion_{name}", args=(version.pk, *more))


def test_the_page_shows_the_plots_that_there_are(
    as_user: AsUser, rosa: User, version: RewardModelVersion
) -> None:
    text = as_user(rosa).get(place("change", version)).content.decode()
    assert place("report", version, "reliability") in text
    assert place("report", version, "unsafe") not in text


def test_a_plot_is_an_image_and_the_card_a_file_to_keep(
    as_user: AsUser, rosa: User, version: RewardModelVersion
) -> None:
    rosas = as_user(rosa)
    plot = rosas.get(place("report", version, "reliability"))
    assert (plot.content.decode(), plot["Content-Type"]) == (PLOT, "image/svg+xml")
    card = rosas.get(place("report", version, "README.md"))
    assert card["Content-Disposition"] == 'attachment; filename="helpful-1-README.md"'


@pytest.mark.parametrize("name", ["head.safetensors", "..", "unsafe", "evaluation.json"])
def test_what_is_no_file_of_the_report_or_is_not_there_is_not_found(
    as_user: AsUser, rosa: User, version: RewardModelVersion, name: str
) -> None:
    assert as_user(rosa).get(place("report", version, name)).status_code == 404


def test_whoever_may_not_see_models_sees_no_report(
    as_user: AsUser, ada: User, version: RewardModelVersion
) -> None:
    assert as_user(ada).get(place("report", version, "reliability")).status_code in (302, 403, 404)


def test_a_version_without_a_report_says_so(
    as_user: AsUser, rosa: User, settings: LazySettings, tmp_path: Path
) -> None:
    settings.MARGIN_HOME = tmp_path
    text = as_user(rosa).get(place("change", make_version())).content.decode()
    assert "No report." in text
