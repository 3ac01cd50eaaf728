"""Runs, policies, iterations, live prompts and the workers that are alive."""

from training.models.live import LiveAttempt, LivePrompt
from training.models.policies import Iteration, PolicyVersion
from training.models.runs import Run, RunEvent, ScoreItems, WorkerBeat

__all__ = [
    "Iteration",
    "LiveAttempt",
    "LivePrompt",
    "PolicyVersion",
    "Run",
    "RunEvent",
    "ScoreItems",
    "WorkerBeat",
]
