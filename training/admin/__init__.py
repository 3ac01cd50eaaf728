"""The admin's pages for the loop: policies, runs, iterations, and the week at a glance."""

from training.admin import batches, iterations, policies, reward_models, runs, week

__all__ = ["batches", "iterations", "policies", "reward_models", "runs", "week"]
