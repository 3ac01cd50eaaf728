"""Forms that are made from typed parameters: every limit, every default, every explanation."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms

from annotation.services.batches import create_batch
from tests.factories import make_policy
from training.core.spec import SPECS, RunKind
from training.core.states import RunState
from training.forms import FORMS, TITLES
from training.forms.base import StartForm
from training.forms.fields import NO_POLICY, NumbersField, field_of
from training.models import Run
from training.services.runs import check_params

pytestmark = pytest.mark.django_db

POLICY_FREE = (RunKind.IMPORT_POLICY, RunKind.SCORE_PAIRS, RunKind.COMPARE_REWARD_MODELS)
REQUIRED = {"source": "tiny", "focus": "safety"}


def test_every_kind_of_run_that_people_start_has_its_form_and_its_title() -> None:
    assert set(FORMS) == set(TITLES) == set(RunKind) - {RunKind.SCORE}


@pytest.mark.parametrize("kind", list(FORMS))
def test_a_form_that_is_sent_as_it_came_gives_the_defaults(kind: RunKind) -> None:
    form = FORMS[kind]()
    sent = {name: form[name].value() for name in form.fields if form[name].value() is not None} | REQUIRED
    sent = {name: ", ".join(map(str, v)) if isinstance(v, tuple) else v for name, v in sent.items()}
    bound = FORMS[kind](sent)
    bound.full_clean()
    wanted = {name: value for name, value in REQUIRED.items() if name in SPECS[kind].model_fields}
    given = {name: bound.cleaned_data[name] for name in SPECS[kind].model_fields}
    assert check_params(kind, given) == check_params(kind, wanted)


@pytest.mark.parametrize("kind", list(FORMS))
def test_every_parameter_is_on_the_form_and_explained(kind: RunKind) -> None:
    form = FORMS[kind]()
    for name, info in SPECS[kind].model_fields.items():
        assert form.fields[name].help_text == info.description


def test_types_become_fields() -> None:
    fields = {**SPECS[RunKind.FINETUNE].model_fields, **SPECS[RunKind.SAMPLE].model_fields}
    made = {name: field_of(name, info) for name, info in fields.items()}
    assert isinstance(made["recipe"], forms.ChoiceField)
    assert isinstance(made["every_iteration"], forms.BooleanField)
    assert not made["every_iteration"].required
    assert isinstance(made["temperatures"], NumbersField)
    epochs = made["epochs"]
    assert isinstance(epochs, forms.IntegerField)
    assert (epochs.min_value, epochs.max_value, epochs.initial) == (1, 20, 2)
    top_p = made["top_p"]
    assert isinstance(top_p, forms.FloatField)
    # Greater than 0 excludes its end, which a field cannot say: pydantic does.
    assert (top_p.min_value, top_p.max_value) == (None, 1)


def test_words_of_an_enumeration_become_choices() -> None:
    field = field_of("focus", SPECS[RunKind.TRAIN_REWARD_MODEL].model_fields["focus"])
    assert isinstance(field, forms.ChoiceField)
    assert field.required
    assert field.choices == [("helpfulness", "helpfulness"), ("safety", "safety")]


@pytest.mark.parametrize(("text", "numbers"), [("0.7, 1", [0.7, 1.0]), ("1.2", [1.2]), (" 1 ,, 2 ", [1, 2])])
def test_numbers_are_separated_by_commas(text: str, numbers: list[float]) -> None:
    assert NumbersField().clean(text) == numbers


@pytest.mark.parametrize("text", ["hot", "0.7; 1", ""])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(forms.ValidationError):
        NumbersField().clean(text)


def test_numbers_are_shown_as_they_are_written() -> None:
    assert NumbersField().prepare_value((0.7, 1.0)) == "0.7, 1"
    assert NumbersField().prepare_value("0.7, x") == "0.7, x"


@pytest.mark.parametrize("kind", list(FORMS))
def test_a_form_knows_what_is_missing(kind: RunKind) -> None:
    missing = FORMS[kind]().missing()
    assert (NO_POLICY in missing) == (kind not in POLICY_FREE)
    assert bool(missing) == (kind != RunKind.IMPORT_POLICY)


def test_nothing_is_missing_once_all_is_there() -> None:
    make_policy()
    create_batch()
    assert FORMS[RunKind.SAMPLE]().missing() == []


def test_the_name_that_is_suggested_is_free() -> None:
    form = FORMS[RunKind.IMPORT_POLICY]
    assert form().suggestion() == "V0"
    make_policy("V0")
    assert form().suggestion() == "V0-2"
    Run.objects.create(kind=RunKind.FINETUNE, state=RunState.QUEUED, inputs={"name": "V0-2"})
    assert form().suggestion() == "V0-3"


@pytest.mark.parametrize(
    ("kind", "inputs", "wanted"),
    [
        (RunKind.SAMPLE, {"batch": 1, "policies": [4, 3]}, {"batch": 1, "newest": 4, "previous": 3}),
        (RunKind.SAMPLE, {"batch": 1, "policies": [4]}, {"newest": 4, "previous": None}),
        (RunKind.FINETUNE, {"base": 1, "selections": [5, 9]}, {"base": 1, "selection": 9}),
        (RunKind.REJECTION_SAMPLE, {"policy": 1, "safety": 3, "prompts": ["k"]}, {"safety": 3, "prompts": 7}),
    ],
)
def test_a_run_fills_the_form_for_another_like_it(
    kind: RunKind, inputs: dict[str, Any], wanted: dict[str, Any]
) -> None:
    run = Run(kind=kind, inputs={**inputs, "name": "taken"}, params={"prompts": 7}, seed=3)
    initial = FORMS[kind].initial_from(run)
    assert {name: initial[name] for name in wanted} == wanted
    assert (initial["seed"], initial["name"]) == (3, "")


def test_a_form_of_no_kind_starts_nothing(rosa: Any) -> None:
    class Plain(StartForm):
        kind = RunKind.IMPORT_POLICY

    with pytest.raises(NotImplementedError):
        Plain().start(rosa)
