"""The door of the evaluation: scored pairs in, figures and a report out.

Knows what others call. Must not know how any of it is computed. Importing it loads scikit-learn; who wants nothing but
ScoredPair or drift takes them from where they are.
"""

from __future__ import annotations

from rewardmodel.core.evaluation.figures import evaluate, summary
from rewardmodel.core.evaluation.pairs import ScoredPair
from rewardmodel.core.evaluation.report import write_report

__all__ = ["ScoredPair", "evaluate", "summary", "write_report"]
