"""The report of a version as files: evaluation.json, README.md and plots/*.svg.

Knows the names of the files and the order of writing. Must not know how a figure was computed, or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from annotation.core.records import canonical_json
from rewardmodel.core.evaluation.card import card
from rewardmodel.core.evaluation.plots import plots_of
from rewardmodel.core.files import write_atomically

EVALUATION: Final = "evaluation.json"
CARD: Final = "README.md"
PLOTS: Final = "plots"


def write_report(directory: Path, figures: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Path]:
    """Write the report into `directory`, which exists, and return its files. Equal figures and facts give equal bytes.

    `figures` is what `evaluate` gave, with `against` where an earlier version was scored too. `facts` are the fields
    of the version's manifest; those that are absent are left out of the card. Each file is whole or absent; a plot
    that there is nothing to draw of is not written.
    """
    plots = plots_of(figures)
    folder = directory / PLOTS
    folder.mkdir(exist_ok=True)
    texts = {
        directory / EVALUATION: canonical_json(figures) + "\n",
        directory / CARD: card(figures, facts, list(plots)),
        **{folder / f"{name}.svg": text for name, text in plots.items()},
    }
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)
