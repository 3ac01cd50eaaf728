"""One form a kind of run."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from training.core.spec import RunKind
from training.forms.dialogues import DistillForm, GattForm, SelfChatForm
from training.forms.finetune import FinetuneForm
from training.forms.policies import ImportPolicyForm, SampleForm
from training.forms.ppo import PpoForm
from training.forms.rejection import RejectionSampleForm
from training.forms.reward_models import CompareRewardModelsForm, ScorePairsForm, TrainRewardModelForm

# What a person starts from a form; responses to score come through the API.
FORMS: Final = MappingProxyType(
    {
        form.kind: form
        for form in (
            ImportPolicyForm,
            SampleForm,
            TrainRewardModelForm,
            CompareRewardModelsForm,
            ScorePairsForm,
            RejectionSampleForm,
            FinetuneForm,
            PpoForm,
            GattForm,
            DistillForm,
            SelfChatForm,
        )
    }
)

TITLES: Final = MappingProxyType(
    {
        RunKind.IMPORT_POLICY: "Import a policy",
        RunKind.SAMPLE: "Sample pairs",
        RunKind.TRAIN_REWARD_MODEL: "Train a reward model",
        RunKind.COMPARE_REWARD_MODELS: "Compare reward models",
        RunKind.SCORE_PAIRS: "Score pairs",
        RunKind.REJECTION_SAMPLE: "Sample and select",
        RunKind.FINETUNE: "Fine-tune a policy",
        RunKind.PPO: "Optimise a policy by PPO",
        RunKind.GATT: "Make Ghost Attention dialogues",
        RunKind.DISTILL: "Distil a safety pre-prompt",
        RunKind.SELF_CHAT: "Let a policy chat with itself",
    }
)
