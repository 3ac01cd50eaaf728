"""Instructions and their versions."""

from __future__ import annotations

import pytest

from annotation.core.grades import Focus
from annotation.errors import DomainError
from annotation.models import Guideline
from annotation.queries import guidelines_in_force
from annotation.services.guidelines import add_guideline, install_default_guidelines

pytestmark = pytest.mark.django_db


def test_the_defaults_come_once_for_each_focus() -> None:
    assert install_default_guidelines() == len(Focus)
    assert install_default_guidelines() == 0
    assert {(g.focus, g.version) for g in guidelines_in_force()} == {("helpfulness", 1), ("safety", 1)}


def test_the_defaults_do_not_replace_what_a_house_wrote() -> None:
    own = add_guideline(focus=Focus.SAFETY, text="Ours.")
    assert install_default_guidelines() == 1
    assert own in guidelines_in_force()


def test_a_change_is_a_new_version_and_the_old_one_stays() -> None:
    install_default_guidelines()
    second = add_guideline(focus=Focus.HELPFULNESS, text="Anew.")
    assert second.version == 2
    assert Guideline.objects.filter(focus=Focus.HELPFULNESS).count() == 2
    assert add_guideline(focus=Focus.HELPFULNESS, text="Anew.") == second


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(DomainError):
        add_guideline(focus=Focus.SAFETY, text=" \n")
