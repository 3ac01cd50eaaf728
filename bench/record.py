"""How a measurement is written down: machine, versions, raw runs, medians, ratios, and one line that says it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("margin", "torch", "transformers", "Django", "celery", "numpy")


def write_result(
    name: str, *, runs: Mapping[str, Sequence[float]], unit: str, floor: str, says: str, **more: Any
) -> str:
    """Write bench/results/NAME.json and return its closing line.

    `runs` holds the raw figures of each contestant; ratios are medians over that of `floor`.
    """
    medians = {who: statistics.median(values) for who, values in runs.items()}
    result = {
        "name": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "unit": unit,
        "runs": {who: list(values) for who, values in runs.items()},
        "medians": medians,
        "ratios": {who: round(value / medians[floor], 3) for who, value in medians.items()},
        "floor": floor,
        "says": says,
        **more,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    return f"{name}: {says}"


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
