"""The report that training wrote beside a reward model, as files for a page: plots, model card, all figures.

Knows the version's folder. Must not know what the figures mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from django.conf import settings

from annotation.errors import NotFoundError
from rewardmodel.models import RewardModelVersion

# What each plot shows, in words, for whoever does not see it; in the order of the page.
PLOTS: Final = MappingProxyType(
    {
        "accuracy_by_grade": "Accuracy by grade with its interval, beside length, words and people",
        "accuracy_by_batch": "Accuracy by week with its interval",
        "reliability": "How often the model is right, by how sure it is",
        "rewards": "Histogram of rewards of chosen and rejected responses",
        "margins": "Histogram of differences of rewards",
        "unsafe": "Precision and recall of unsafe responses",
    }
)
TEXTS: Final = MappingProxyType(
    {"README.md": "text/markdown; charset=utf-8", "evaluation.json": "application/json"}
)


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One file of a report, whole."""

    name: str
    content_type: str
    content: bytes


def plots_of(version: RewardModelVersion) -> list[str]:
    """Names of the plots that there are."""
    folder = _folder(version) / "plots"
    return [name for name in PLOTS if (folder / f"{name}.svg").is_file()]


def read_report_file(version: RewardModelVersion, name: str) -> ReportFile:
    """A plot by its name, or one of TEXTS.

    Raises:
        NotFoundError: a report has no such file, or this one does not.
    """
    place = _folder(version) / (f"plots/{name}.svg" if name in PLOTS else name)
    if name not in PLOTS and name not in TEXTS:
        raise NotFoundError(f"A report has no file {name!r}.")
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"The report of {version} has no {name}.") from None
    return ReportFile(place.name, TEXTS.get(name, "image/svg+xml"), content)


def _folder(version: RewardModelVersion) -> Path:
    return Path(settings.MARGIN_HOME) / version.path
