"""The client knows the fields and the filters that the API has: all of them, and no others."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from rest_framework.serializers import Serializer

from annotation.api import (
    agreement,
    batches,
    comparisons,
    dialogues,
    import_answers,
    imports,
    judgments,
    me,
    prompts,
    snapshots,
    tokens,
    webhooks,
)
from annotation.api.kit.views import Collection
from annotation.core.recipe import Recipe
from margin_client import Margin, types
from rewardmodel.api import reward_models
from rewardmodel.api.shown import RewardModelSerializer
from training.api import iterations, policies, runs, shown

RECORDS: list[tuple[type[Any], type[Any]]] = [
    (types.AddedPrompts, prompts.AddedSerializer),
    (types.AgreementReport, agreement.AgreementSerializer),
    (types.BadRow, import_answers.BadRowAnswer),
    (types.Batch, batches.CountedBatchSerializer),
    (types.Change, snapshots.ChangeSerializer),
    (types.Changes, snapshots.ChangesSerializer),
    (types.Coefficient, agreement.CoefficientSerializer),
    (types.Comparison, comparisons.ComparisonSerializer),
    (types.Delivery, webhooks.DeliveryRow),
    (types.Dialogue, dialogues.AnsweredDialogueSerializer),
    (types.FirstChanges, snapshots.FirstSerializer),
    (types.ImportFormat, import_answers.FormatAnswer),
    (types.ImportReport, import_answers.ImportAnswer),
    (types.Iteration, iterations.IterationSerializer),
    (types.Judgment, judgments.JudgmentSerializer),
    (types.NewSecret, webhooks.SecretAnswer),
    (types.Person, me.MeSerializer),
    (types.Policy, policies.PolicySerializer),
    (types.Prompt, prompts.PromptSerializer),
    (types.Response, dialogues.ResponseSerializer),
    (types.RewardModel, RewardModelSerializer),
    (types.Run, shown.WholeRunSerializer),
    (types.RunEvent, shown.EventSerializer),
    (types.ScaleAgreement, agreement.ScaleSerializer),
    (types.Snapshot, snapshots.WholeSnapshotSerializer),
    (types.SnapshotFile, snapshots.FileSerializer),
    (types.Token, tokens.TokenSerializer),
    (types.Webhook, webhooks.NewWebhookRow),
]
LISTS: list[tuple[str, type[Collection]]] = [
    ("prompts", prompts.Prompts),
    ("dialogues", dialogues.Dialogues),
    ("comparisons", comparisons.Comparisons),
    ("judgments", judgments.Judgments),
    ("batches", batches.Batches),
    ("snapshots", snapshots.Snapshots),
    ("reward_models", reward_models.RewardModels),
    ("policies", policies.Policies),
    ("runs", runs.Runs),
    ("iterations", iterations.Iterations),
    ("webhooks", webhooks.WebhookList),
]


@pytest.fixture
def client() -> Margin:
    return Margin(
        "http://margin.test", "margin_x", transport=httpx.MockTransport(lambda _: httpx.Response(500))
    )


def names_of(answer: type[Any]) -> set[str]:
    if issubclass(answer, BaseModel):
        return set(answer.model_fields)
    assert issubclass(answer, Serializer)
    return set(answer().fields)


def test_every_record_is_compared() -> None:
    assert {record.__name__ for record, _ in RECORDS} == set(types.__all__)


@pytest.mark.parametrize(("record", "answer"), RECORDS, ids=lambda one: one.__name__)
def test_a_record_has_the_fields_of_the_answer(record: type[Any], answer: type[Any]) -> None:
    assert {field.name for field in fields(record)} == names_of(answer)


@pytest.mark.parametrize(("name", "view"), LISTS)
def test_a_list_takes_the_filters_of_the_collection(
    name: str, view: type[Collection], client: Margin
) -> None:
    taken = set(inspect.signature(getattr(client, name).list).parameters)
    assert taken - {"fields"} == set(view.filters)


def test_a_recipe_is_what_the_client_can_ask_for(client: Margin) -> None:
    taken = set(inspect.signature(client.snapshots.create).parameters)
    assert taken == set(Recipe.model_fields) | {"name", "formats", "wait"}


def test_an_import_takes_the_parameters_of_the_api(client: Margin) -> None:
    # The name is the file's.
    taken = set(inspect.signature(client.imports.create).parameters)
    assert taken - {"file"} == set(imports.PARAMETERS) - {"name"}


def test_deliveries_take_the_filters_of_the_collection(client: Margin) -> None:
    taken = set(inspect.signature(client.webhooks.deliveries).parameters)
    assert taken - {"webhook"} == set(webhooks.WebhookDeliveries.filters)
