"""What an access token may do. A request needs both: the role of the person, and a scope of the token.

Knows words alone. Must not know people, addresses or rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Scope(StrEnum):
    """One kind of reading or changing."""

    DATA_READ = "data:read"  # prompts, dialogues, comparisons, judgments, batches, agreement
    DATA_WRITE = "data:write"  # prompts, imports, batches
    SNAPSHOTS_READ = "snapshots:read"  # list and download
    SNAPSHOTS_WRITE = "snapshots:write"  # write, add formats, withdraw rows
    MODELS_READ = "models:read"  # reward models, policies, runs, iterations
    MODELS_SCORE = "models:score"  # rewards of given responses
    RUNS_WRITE = "runs:write"  # start, cancel, retry
    WEBHOOKS_WRITE = "webhooks:write"  # see, make, change and replay


SENTENCES: Final[Mapping[Scope, str]] = MappingProxyType(
    {
        Scope.DATA_READ: "Read prompts, dialogues, comparisons, judgments, batches and agreement",
        Scope.DATA_WRITE: "Add prompts, import judgments, plan, open and seal batches",
        Scope.SNAPSHOTS_READ: "List and download snapshots",
        Scope.SNAPSHOTS_WRITE: "Write snapshots, add formats and withdraw rows",
        Scope.MODELS_READ: "See reward models, policies, runs and iterations",
        Scope.MODELS_SCORE: "Have responses scored by a reward model",
        Scope.RUNS_WRITE: "Start, cancel and retry runs",
        Scope.WEBHOOKS_WRITE: "See, make, change and replay webhooks",
    }
)

# The least role that may give a scope to a token, by its name: a token never does more than its person may.
LEAST_ROLE: Final[Mapping[Scope, str]] = MappingProxyType(
    {
        Scope.DATA_READ: "reviewer",
        Scope.DATA_WRITE: "researcher",
        Scope.SNAPSHOTS_READ: "researcher",
        Scope.SNAPSHOTS_WRITE: "researcher",
        Scope.MODELS_READ: "researcher",
        Scope.MODELS_SCORE: "researcher",
        Scope.RUNS_WRITE: "researcher",
        Scope.WEBHOOKS_WRITE: "researcher",
    }
)
