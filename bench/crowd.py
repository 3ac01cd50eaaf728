"""`make bench-crowd`: many annotators at once on real web servers that are killed at random.

200 annotators, 20,000 comparisons, overlap 3 on the PostgreSQL that is at hand; `--annotators 20` without DATABASE_URL
for SQLite. Nobody thinks: everybody asks and sends as quickly as they are answered, so the times are those of a
saturated machine, clients included. What counts is what the database holds afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from bench.record import write_result
from tests.crowd import COUNT, Figures, run_crowd
from tests.house import build_house, free_port

NOTHING_WRONG = {"too_many": 0, "too_few": 0, "twice_by_one": 0, "free_left": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotators", type=int, default=200)
    parser.add_argument("--comparisons", type=int, default=20_000)
    parser.add_argument("--overlap", type=int, default=3)
    parser.add_argument("--servers", type=int, default=2, help="web server processes")
    parser.add_argument("--kill-every", type=float, default=20, help="seconds between two kills; 0: none")
    parser.add_argument("--dry", action="store_true", help="print, and write no result")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, build_house(Path(folder)) as house:
        house.environment["LEASE_SECONDS"] = "60"
        figures = asyncio.run(
            run_crowd(
                house,
                ports=[free_port() for _ in range(options.servers)],
                annotators=options.annotators,
                comparisons=options.comparisons,
                overlap=options.overlap,
                kill_every=options.kill_every,
                seed=0,
            )
        )
        found = json.loads(house.run(COUNT))
        vendor = "postgresql" if "DATABASE_URL" in house.environment else "sqlite"
    print(json.dumps({**found, "errors": figures.errors[:5], "kills": figures.kills}, indent=1))
    says = _says(vendor, options, figures, found)
    if options.dry:
        print(says)
        return
    print(
        write_result(
            f"crowd_{vendor}",
            # Every hundredth: sixty thousand figures say no more.
            runs={"ask": sorted(figures.ask)[::100], "send": sorted(figures.send)[::100]},
            unit="ms",
            floor="send",
            says=says,
            counted=found,
            kills=figures.kills,
            lost_requests=figures.lost,
            server_errors=len(figures.errors),
            seconds=round(figures.seconds, 1),
            options=vars(options),
        )
    )


def _says(vendor: str, options: argparse.Namespace, figures: Figures, found: dict[str, Any]) -> str:
    is_right = all(found[name] == value for name, value in NOTHING_WRONG.items()) and not figures.errors
    exact = found["judgments"] == options.comparisons * options.overlap
    verdict = f"exactly {options.overlap} judgments each" if is_right and exact else "NOT what it should be"
    asked, sent = (f"{median(x):.0f} / {quantiles(x, n=20)[-1]:.0f} ms" for x in (figures.ask, figures.send))
    return (
        f"{options.annotators} annotators, {options.comparisons:,} comparisons on {vendor}: {verdict}, "
        f"{figures.kills} servers killed, {len(figures.errors)} server errors; "
        f"{found['judgments'] / figures.seconds:.0f} judgments a second, next {asked}, submit {sent} (p50 / p95)"
    )


if __name__ == "__main__":
    main()
