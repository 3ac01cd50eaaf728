"""What writes rows of this app: versions and what they say of pairs, resident scorers, and which version is current."""

from rewardmodel.services.comparisons import store_comparison
from rewardmodel.services.promotions import override_promotion, promote_reward_model, roll_back_promotion
from rewardmodel.services.scores import beat_scorer, dismiss_scorer, store_pair_scores
from rewardmodel.services.versions import register_reward_model

__all__ = [
    "beat_scorer",
    "dismiss_scorer",
    "override_promotion",
    "promote_reward_model",
    "register_reward_model",
    "roll_back_promotion",
    "store_comparison",
    "store_pair_scores",
]
