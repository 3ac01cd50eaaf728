"""Starting runs: each kind's own door, with the checks that a queue cannot make later."""

from training.services.start.dialogues import start_distill, start_gatt, start_self_chat
from training.services.start.finetune import start_finetune
from training.services.start.instead import start_instead
from training.services.start.policies import start_import_policy, start_sample
from training.services.start.ppo import start_ppo
from training.services.start.rejection import start_rejection_sample
from training.services.start.reward_models import (
    start_compare_reward_models,
    start_score,
    start_score_pairs,
    start_train_reward_model,
)

__all__ = [
    "start_compare_reward_models",
    "start_distill",
    "start_finetune",
    "start_gatt",
    "start_import_policy",
    "start_instead",
    "start_ppo",
    "start_rejection_sample",
    "start_sample",
    "start_score",
    "start_score_pairs",
    "start_self_chat",
    "start_train_reward_model",
]
