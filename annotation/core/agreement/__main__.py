"""Every coefficient of agreement for a file of ratings: python -m annotation.core.agreement RATINGS.csv [--json]

Knows the command line. What it prints is in `report`, what it reads in `reading`.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from annotation.core.agreement.coefficients import all_coefficients
from annotation.core.agreement.reading import Read, read_ratings, read_table
from annotation.core.agreement.report import as_json, as_text
from annotation.core.agreement.tables import BadRatings
from annotation.core.formats.lines import UnreadableFileError, open_lines

_ABOUT = """Agreement between raters: percent agreement, Brennan-Prediger, Cohen's, Conger's and Fleiss' kappa,
Gwet's AC1 and AC2, Krippendorff's alpha, each with its standard error, interval and p value, and with every
weighting."""

_JSON = """With --json one object is printed: n_items, n_items_with_two, n_raters, n_ratings, categories, confidence,
notes, and coefficients, a list. Each of these has coefficient (percent, brennan_prediger, cohen, conger, fleiss,
gwet or krippendorff; fleiss of two raters is Scott's pi), name, label, weights, metric, value, pa, pe, se, se_method,
ci_low, ci_high, confidence, p_value, p_value_one_sided, n_items, n_raters, categories, why. weights is Gwet's
weighting: identity, ordinal, linear, quadratic, radical, ratio, circular or bipolar. Krippendorff's alpha is there
with each of them, and once more with each of Krippendorff's own metrics (nominal, ordinal, interval, ratio): then
metric names it and weights is null. What has no value is null, and why says the reason. Cohen's kappa is there where
there are two raters. Exit status: 0, or 2 where the file cannot be read."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(argv)
    try:
        read = _read(options)
    except (BadRatings, UnreadableFileError) as error:
        return _refused(f"{options.ratings}: {error}")
    except OSError as error:
        return _refused(f"{options.ratings}: {error.strerror or error}")
    found = all_coefficients(read.ratings, confidence=options.confidence)
    if options.json:
        text = json.dumps(as_json(read, found, options.confidence), indent=2, allow_nan=False) + "\n"
    else:
        text = as_text(read, found, options.confidence)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m annotation.core.agreement", description=_ABOUT, epilog=_JSON)
    parser.add_argument(
        "ratings",
        type=Path,
        metavar="RATINGS.csv",
        help="a header of raters' names, then a row an item; an empty cell is no rating; UTF-8",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--confidence", type=_confidence, default=0.95, help="of the intervals (0.95)")
    parser.add_argument(
        "--categories",
        type=_names,
        default=[],
        metavar="A,B,C",
        help="all categories in their order, also those that nobody used; numbers always go by size (write"
        " --categories=-1,0,1 where the first is negative). Without it those"
        " that occur, text by the alphabet",
    )
    parser.add_argument(
        "--missing",
        type=_names,
        default=[],
        metavar="NA,...",
        help="cells that mean no rating, beside empty ones",
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="the file is two raters' contingency table of counts; standard errors divide by n, not n - 1",
    )
    return parser


def _read(options: argparse.Namespace) -> Read:
    lines = open_lines(options.ratings)
    if options.table:
        return read_table(lines, categories=options.categories)
    return read_ratings(lines, categories=options.categories, missing=options.missing)


def _confidence(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1, such as 0.95")
    return share


def _names(text: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([text]), []) if name.strip()]
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list: {error}") from error


def _refused(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
