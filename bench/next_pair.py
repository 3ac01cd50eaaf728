"""`make bench-next`: what the next pair costs in a week of 1,000 and of 1,000,000 comparisons.

The same questions in weeks of each size, on the database that DATABASE_URL names (SQLite without): a person who asks
for the first time; one who has judged a tenth of the week, while nobody else has, so that all they judged still has
free slots (overlap 3); and one beside 200 others who hold 20 pairs each. A question is `lease_next` for one pair more
than is held; sending is `submit_judgment`. The plans are those of the question's own queries.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from bench.record import write_result
from tests.house import build_house

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ASKED = 60
CODE = "import json; from bench.next_pair import measure; print(json.dumps(measure({size})))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--dry", action="store_true", help="print, and write no result")
    options = parser.parse_args()
    found = {size: _ask(size) for size in options.sizes}
    runs = {f"{size:,} {what}": row["ms"][what] for size, row in found.items() for what in row["ms"]}
    for name, values in runs.items():
        print(f"{name:34} median {median(values):7.2f} ms   p95 {quantiles(values, n=20)[-1]:7.2f} ms")
    largest = found[options.sizes[-1]]
    print(*largest["plans"], sep="\n")
    if options.dry:
        return
    vendor = largest["vendor"]
    first, last = (
        {what: median(row["ms"][what]) for what in row["ms"]}
        for row in (found[options.sizes[0]], found[options.sizes[-1]])
    )
    says = (
        f"on {vendor} a next pair takes {last['fresh']:.1f} ms of {options.sizes[-1]:,} and {first['fresh']:.1f} ms of "
        f"{options.sizes[0]:,}; after a tenth of the week {last['after a tenth']:.1f} and "
        f"{first['after a tenth']:.1f} ms; beside 200 people {last['beside 200']:.1f} and {first['beside 200']:.1f} ms"
    )
    floor = f"{options.sizes[0]:,} fresh"
    print(
        write_result(
            f"next_pair_{vendor}", runs=runs, unit="ms", floor=floor, says=says, plans=largest["plans"]
        )
    )


def _ask(size: int) -> dict[str, Any]:
    import json  # noqa: PLC0415

    with TemporaryDirectory() as folder, build_house(Path(folder)) as house:
        answer: dict[str, Any] = json.loads(house.run(CODE.format(size=size)))
        return answer


def measure(size: int) -> dict[str, Any]:
    """In the house: milliseconds of each question, by who asks, and the plans."""
    from django.db import connection  # noqa: PLC0415  Django is set up here

    from tests.factories import make_batch, make_comparisons, make_user  # noqa: PLC0415

    batch = make_batch(overlap=3)
    make_comparisons(batch, 1)
    _fill(batch.pk, size)
    fresh, keen, late = (make_user(name) for name in ("ada", "ben", "rosa"))
    ms = {"fresh": _time(fresh)}
    _judge_first(keen, batch, size // 10)
    ms["after a tenth"] = _time(keen)
    _crowd(batch, 200, min(20, size // 250))
    ms["beside 200"] = _time(late)
    ms["send"] = _send(fresh)
    return {"ms": ms, "plans": _plans(late), "vendor": connection.vendor}


def _fill(batch: int, size: int) -> None:
    """`size` pairs of one dialogue, written by the database itself: the queue does not look at texts."""
    from django.db import connection  # noqa: PLC0415

    is_postgres = connection.vendor == "postgresql"
    numbers = (
        "SELECT generate_series(2, %s) AS n"
        if is_postgres
        else "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < %s) SELECT n FROM c"
    )
    key = f"{'right' if is_postgres else 'substr'}('{'0' * 32}' || n, {32 if is_postgres else -32})"
    focus = "CASE WHEN (n & 3) = 0 THEN 'safety' ELSE 'helpfulness' END"
    same = "batch_id, dialogue_id, response_a_id, response_b_id, state, language, free, dispute, created_at"
    source = f"annotation_comparison, ({numbers}) AS c WHERE batch_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO annotation_comparison (key, focus, place, {same}) "  # noqa: S608  no text from outside
            f"SELECT {key}, {focus}, place + n, {same} FROM {source}",
            [size, batch],
        )
        cursor.execute("ANALYZE")


def _judge_first(user: Any, batch: Any, count: int) -> None:
    """As if this person had judged the first pairs of the week through the queue."""
    from django.db.models import F  # noqa: PLC0415

    from annotation.models import Comparison, Judgment, Lease, Worklist  # noqa: PLC0415

    rows = list(Comparison.objects.filter(batch=batch).order_by("pk")[:count])
    Lease.objects.bulk_create(
        (Lease(comparison=c, annotator=user, slot=2, judged=True, expires_at=c.created_at) for c in rows),
        batch_size=2000,
    )
    Judgment.objects.bulk_create(
        (
            Judgment(
                comparison=c,
                annotator=user,
                focus=c.focus,
                choice="a",
                grade="better",
                safety="both_safe" if c.focus == "safety" else "",
            )
            for c in rows
        ),
        batch_size=2000,
    )
    Comparison.objects.filter(pk__lte=rows[-1].pk, batch=batch).update(free=F("free") - 1)
    places = {focus: max(c.place for c in rows if c.focus == focus) for focus in ("helpfulness", "safety")}
    Worklist.objects.create(annotator=user, batch=batch, given=count, places=places)


def _crowd(batch: Any, people: int, each: int) -> None:
    from annotation.models import User  # noqa: PLC0415
    from annotation.services.allocation import lease_next  # noqa: PLC0415

    for number in range(people):
        # No password: hashing two hundred takes longer than all the rest.
        lease_next(annotator=User.objects.create_user(f"other {number}"), count=each)


def _time(user: Any) -> list[float]:
    from annotation.models import Lease  # noqa: PLC0415
    from annotation.services.allocation import lease_next  # noqa: PLC0415

    times = []
    for _ in range(ASKED):
        began = time.perf_counter()
        found = lease_next(annotator=user)
        times.append(1000 * (time.perf_counter() - began))
        assert len(found) == 1
        # Out of hand without a word to the queue, so that the next question is for a new pair.
        Lease.objects.filter(annotator=user, judged=False).update(judged=True)
    return times


def _send(user: Any) -> list[float]:
    from annotation.core.grades import Choice, Grade, SafetyLabel  # noqa: PLC0415
    from annotation.services.allocation import lease_next  # noqa: PLC0415
    from annotation.services.judgments import Answer, submit_judgment  # noqa: PLC0415

    times = []
    for _ in range(ASKED):
        (pair,) = lease_next(annotator=user)
        label = SafetyLabel.BOTH_SAFE if pair.focus == "safety" else None
        answer = Answer(choice=Choice.A, grade=Grade.BETTER, safety=label)
        began = time.perf_counter()
        submit_judgment(annotator=user, comparison_key=pair.key, uid=uuid4(), answer=answer)
        times.append(1000 * (time.perf_counter() - began))
    return times


def _plans(user: Any) -> list[str]:
    """How the database finds the pair: the plan of each query on the queue."""
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from annotation.services.allocation import lease_next  # noqa: PLC0415

    with CaptureQueriesContext(connection) as queries:
        lease_next(annotator=user, count=2)
    walks = [
        q["sql"] for q in queries if "free" in q["sql"] and "SELECT" in q["sql"] and "LIMIT 1" in q["sql"]
    ]
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    plans = []
    with connection.cursor() as cursor:
        for sql in walks:
            cursor.execute(explain + sql)
            plans += [
                " ".join(str(part) for part in row if isinstance(part, str)) for row in cursor.fetchall()
            ]
    return plans


if __name__ == "__main__":
    main()
