"""`make bench-export`: a snapshot of 1,000,000 judgments, its rows a second and its memory.

On the database that DATABASE_URL names (SQLite without). A sealed week of as many pairs, each of a dialogue of its own
and judged once, is written as a snapshot (JSON lines and Parquet) and as raw judgments, each in a process of its own
through the services that a worker calls. The floor is read in the same way in the same house: a bare stream of the
same columns, every row as JSON onto disk, without order, aggregation, hash or Parquet. Memory is the peak of the
process. PostgreSQL shares the cores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.record import write_result
from tests.house import House, build_house

SIZE = 1_000_000
CODE = "import json; from bench.export import measure; print(json.dumps(measure('{what}')))"
FILL = "from bench.export import fill; fill({size})"
FLOOR = "bare stream"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print, and write no result")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, build_house(Path(folder)) as house:
        house.run(FILL.format(size=options.size))
        found = {what: [_ask(house, what) for _ in range(options.times)] for what in KINDS}
    for what, rows in found.items():
        for row in rows:
            print(
                f"{what:12} {row['rows']:>9,} rows  {row['rows'] / row['seconds']:>9,.0f} rows/s  "
                f"peak {row['peak_mib']:.0f} MiB  {row['bytes'] / 2**20:,.0f} MiB written"
            )
    if not options.dry:
        print(_record(found, options.size))


def _ask(house: House, what: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(house.run(CODE.format(what=what)).splitlines()[-1])
    return answer


def _record(found: dict[str, list[dict[str, Any]]], size: int) -> str:
    speed = {what: [row["rows"] / row["seconds"] for row in rows] for what, rows in found.items()}
    peak = {what: max(row["peak_mib"] for row in rows) for what, rows in found.items()}
    vendor = found[FLOOR][0]["vendor"]
    says = f"on {vendor} {size:,} judgments: " + "; ".join(
        f"{what} {median(speed[what]):,.0f} rows/s, peak {peak[what]:.0f} MiB" for what in found
    )
    return write_result(
        f"export_{vendor}",
        runs=speed,
        unit="rows/s",
        floor=FLOOR,
        says=says,
        peak_mib=peak,
        mib_written={what: round(rows[0]["bytes"] / 2**20) for what, rows in found.items()},
        judgments=size,
    )


def measure(what: str) -> dict[str, Any]:
    """In the house: seconds, rows, bytes and the peak of one way out, in a process that does nothing else."""
    import resource  # noqa: PLC0415
    import time  # noqa: PLC0415

    from django.db import connection  # noqa: PLC0415

    began = time.perf_counter()
    rows, size = KINDS[what]()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rows": rows,
        "bytes": size,
        "seconds": seconds,
        "peak_mib": peak,
        "vendor": connection.vendor,
    }


def _snapshot() -> tuple[int, int]:
    """Asked for anew: what an earlier measurement wrote goes first."""
    from annotation.core.recipe import Recipe  # noqa: PLC0415
    from annotation.models import Snapshot  # noqa: PLC0415
    from annotation.services.snapshots import request_snapshot, write_snapshot  # noqa: PLC0415
    from annotation.services.store import store  # noqa: PLC0415

    for old in Snapshot.objects.all():
        store().remove(old.path)
        old.delete()
    row = write_snapshot(snapshot=request_snapshot(recipe=Recipe()))
    assert row.state == "ready", row.error
    return row.rows, sum(row.files.values_list("bytes", flat=True))


def _judgments() -> tuple[int, int]:
    from annotation.models import Snapshot, SnapshotFile  # noqa: PLC0415
    from annotation.services.snapshots import add_formats, tend_snapshot  # noqa: PLC0415

    row = Snapshot.objects.get()
    SnapshotFile.objects.filter(snapshot=row, format="judgments").delete()
    add_formats(snapshot=row, formats=["judgments"], by=None)
    tend_snapshot(pk=row.pk)
    files = row.files.filter(format="judgments", rows__isnull=False)
    return sum(file.rows or 0 for file in files), sum(file.bytes for file in files)


def _bare() -> tuple[int, int]:
    from django.conf import settings  # noqa: PLC0415

    from annotation.models import Judgment  # noqa: PLC0415

    columns = ("uid", "choice", "grade", "safety", "comparison__key", "comparison__focus")
    texts = ("dialogue__messages", "response_a__text", "response_b__text")
    of_pair = tuple(f"comparison__{name}" for name in texts)
    names = (*columns, "comparison__dialogue__prompt__split", *of_pair)
    rows, place = 0, Path(settings.MARGIN_HOME) / "bare.jsonl"
    with place.open("w", encoding="utf-8") as file:
        for row in Judgment.objects.values_list(*names).iterator():
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str) + "\n")
            rows += 1
    return rows, place.stat().st_size


KINDS: dict[str, Callable[[], tuple[int, int]]] = {
    FLOOR: _bare,
    "snapshot": _snapshot,
    "judgments": _judgments,
}


def fill(size: int) -> None:
    """A sealed week of `size` pairs, written by the database itself. Keys are in no order, as hashes are; every tenth
    prompt is held out; an answer has three of SENTENCES sentences, about 250 characters."""
    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from annotation.models import Batch, User  # noqa: PLC0415
    from tests.factories import make_batch  # noqa: PLC0415

    batch = make_batch()
    first = User.objects.create(username="ada 0", pseudonym="annotator-000").pk
    others = (User(username=f"ada {n}", pseudonym=f"annotator-{n:03}") for n in range(1, PEOPLE))
    User.objects.bulk_create(others)
    dialect = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    values = {**dialect, "batch": str(batch.pk), "first": str(first), "people": str(PEOPLE)}
    with connection.cursor() as cursor:
        if dialect is SQLITE:
            connection.connection.create_function("md5", 1, _md5)
        cursor.execute("CREATE TEMPORARY TABLE sentence (n integer PRIMARY KEY, t text)")
        cursor.executemany("INSERT INTO sentence VALUES (%s, %s)", _sentences())
        for table, columns in TABLES.items():
            for salt in (0, 1) if table == "response" else (0,):
                cursor.execute(_insert(table, columns, size, {**values, "salt": str(salt)}))
        Batch.objects.filter(pk=batch.pk).update(state="sealed", sealed_at=timezone.now())
        cursor.execute(dialect["analyze"])


def _insert(table: str, columns: dict[str, str], size: int, values: dict[str, str]) -> str:
    """One statement for all rows; `n` counts them, and `s0` to `s2` are sentences drawn by it."""
    what = ", ".join(columns.values()).format(**values)
    rows = values["numbers"].format(size=size)
    if "s0." in what:
        salt = 31_337 * int(values["salt"])
        rows += "".join(
            f" JOIN sentence AS s{i} ON s{i}.n = (t.n % 10000 * {prime} + t.n + {salt}) % {SENTENCES}"
            for i, prime in enumerate(PRIMES)
        )
    return f"INSERT INTO annotation_{table} ({', '.join(columns)}) SELECT {what} FROM {rows}"  # noqa: S608


def _sentences() -> list[tuple[int, str]]:
    import random  # noqa: PLC0415

    draw = random.Random(0)
    words = ["".join(draw.choices("aeiourstlnmdkp", k=draw.randint(2, 10))) for _ in range(3000)]
    return [(n, " ".join(draw.choices(words, k=draw.randint(8, 16)))) for n in range(SENTENCES)]


def _md5(text: str) -> str:
    import hashlib  # noqa: PLC0415

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


SENTENCES = 100_000
PEOPLE = 100
PRIMES = (7919, 15_487, 104_729)
POSTGRESQL = {
    "numbers": "generate_series(1, {size}) AS t(n)",
    "json": "::jsonb",
    "uuid": "::uuid",
    "now": "now()",
    "analyze": "VACUUM ANALYZE",
}
SQLITE = {
    "numbers": "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {size}) SELECT n FROM c) t",
    "json": "",
    "uuid": "",
    "now": "CURRENT_TIMESTAMP",
    "analyze": "ANALYZE",
}
TABLES = {
    "prompt": {
        "id": "t.n",
        "key": "md5('prompt' || t.n)",
        "text": "s0.t",
        "focus": "'helpfulness'",
        **dict.fromkeys(("source", "category", "risk", "attack", "licence"), "''"),
        "turns": "1",
        "difficulty_from": "'{{}}'{json}",
        "language": "'en'",
        "in_pool": "false",
        "split": "CASE WHEN t.n % 10 = 0 THEN 'test' ELSE 'train' END",
        "created_at": "{now}",
    },
    "dialogue": {
        "id": "t.n",
        "key": "md5('dialogue' || t.n)",
        "prompt_id": "t.n",
        "messages": """('[{{"role": "user", "content": "' || s0.t || '?"}}]'){json}""",
        "turns": "1",
        "created_at": "{now}",
    },
    "response": {
        "id": "2 * t.n + {salt}",
        "key": "md5('response' || (2 * t.n + {salt}))",
        "dialogue_id": "t.n",
        "text": "s0.t || '. ' || s1.t || '. ' || s2.t || '.'",
        "policy": "'V{salt}'",
        **dict.fromkeys(("finish_reason", "run", "leak"), "''"),
        "created_at": "{now}",
    },
    "comparison": {
        "id": "t.n",
        "key": "md5('pair' || t.n)",
        "batch_id": "{batch}",
        "dialogue_id": "t.n",
        "focus": "'helpfulness'",
        "response_a_id": "2 * t.n",
        "response_b_id": "2 * t.n + 1",
        "state": "'complete'",
        "language": "'en'",
        "place": "t.n",
        **dict.fromkeys(("free", "dispute"), "0"),
        "created_at": "{now}",
    },
    "judgment": {
        "id": "t.n",
        "uid": "md5('judgment' || t.n){uuid}",
        "comparison_id": "t.n",
        "annotator_id": "{first} + (t.n % 10000 * 7919) % {people}",
        "focus": "'helpfulness'",
        "choice": "CASE WHEN t.n % 3 = 0 THEN 'a' ELSE 'b' END",
        "grade": "CASE WHEN t.n % 2 = 0 THEN 'better' ELSE 'slightly_better' END",
        **dict.fromkeys(("safety", "comment"), "''"),
        '"left"': "'a'",
        "source": "'person'",
        "retracted": "false",
        "current": "true",
        "created_at": "{now}",
    },
}

if __name__ == "__main__":
    main()
