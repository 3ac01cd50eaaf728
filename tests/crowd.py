"""Many annotators at once on real web servers, which are killed while they work.

Each is a client as the page is one: it asks for pairs, judges each under an id of its own, sends the same again until
it is told that it is stored, passes some on and walks away from others for a while. Afterwards the database is asked
what was counted.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.house import House, answers, kill_server

GRADES: Final = ("significantly_better", "better", "slightly_better", "negligibly_better")
AT_ONCE: Final = 4  # pairs asked for together
SKIPS, LEAVES = 0.03, 0.02  # of the pairs
IDLE: Final = 0.2  # seconds between two questions where nothing waits
FILL = """
import json
from tests.crowd import fill
print(json.dumps(fill({annotators}, {comparisons}, {overlap})))
"""
COUNT = "import json; from tests.crowd import count; print(json.dumps(count()))"


@dataclass
class Figures:
    """Milliseconds of answered requests, what servers and the network refused, and how often a server was killed."""

    ask: list[float] = field(default_factory=list)
    send: list[float] = field(default_factory=list)
    lost: int = 0
    errors: list[str] = field(default_factory=list)
    refused: int = 0
    kills: int = 0
    seconds: float = 0.0


def fill(annotators: int, comparisons: int, overlap: int) -> list[dict[str, str]]:
    """In the house: people with sessions, and a week of pairs."""
    from django.conf import settings  # noqa: PLC0415  the house's own process has Django set up
    from django.test import Client  # noqa: PLC0415

    from annotation.models import User  # noqa: PLC0415
    from tests.factories import make_batch, make_comparisons  # noqa: PLC0415

    make_comparisons(make_batch(overlap=overlap), comparisons)
    people = []
    for number in range(annotators):
        user = User.objects.create_user(username=f"annotator {number}", password=None)
        client = Client()
        client.force_login(user)
        people.append(
            {"pseudonym": user.pseudonym, "session": client.cookies[settings.SESSION_COOKIE_NAME].value}
        )
    return people


def count() -> dict[str, int]:
    """In the house: what was stored, and everything that must not be."""
    from django.db.models import Count  # noqa: PLC0415  as above

    from annotation.models import Comparison, Judgment  # noqa: PLC0415

    rows = Judgment.objects.effective()
    of_pair = (
        rows.order_by().values("comparison").annotate(n=Count("pk"), people=Count("annotator", distinct=True))
    )
    overlap = Comparison.objects.values_list("batch__overlap", flat=True)[0]
    return {
        "comparisons": Comparison.objects.count(),
        "complete": Comparison.objects.filter(state="complete").count(),
        "judgments": rows.count(),
        "rows": Judgment.objects.count(),
        "too_many": of_pair.filter(n__gt=overlap).count(),
        "too_few": Comparison.objects.count() - of_pair.filter(n__gte=overlap).count(),
        "twice_by_one": sum(row["n"] != row["people"] for row in of_pair),
        "free_left": Comparison.objects.filter(free__gt=0).count(),
    }


async def run_crowd(
    house: House,
    *,
    ports: list[int],
    annotators: int,
    comparisons: int,
    overlap: int,
    kill_every: float,
    seed: int,
) -> Figures:
    """Fill the house, let the crowd judge all of it while servers are killed, and return what it was like."""
    people = json.loads(
        house.run(FILL.format(annotators=annotators, comparisons=comparisons, overlap=overlap))
    )
    figures = Figures()
    target = comparisons * overlap
    servers = {port: house.serve(port) for port in ports}
    try:
        if not all(answers(port) for port in ports):
            raise RuntimeError("a web server did not start")
        began = time.monotonic()
        crowd = _Crowd(ports, figures, target)
        killer = asyncio.create_task(_kill(house, servers, kill_every, figures, random.Random(seed)))
        await asyncio.gather(
            *(crowd.annotator(who, random.Random(f"{seed}:{number}")) for number, who in enumerate(people))
        )
        figures.seconds = time.monotonic() - began
        killer.cancel()
    finally:
        for server in servers.values():
            kill_server(server)
    return figures


async def _kill(
    house: House, servers: dict[int, Any], every: float, figures: Figures, draw: random.Random
) -> None:
    """Kill one of them now and then, at any instant, and start another in its place."""
    while every:
        await asyncio.sleep(draw.uniform(0.5, 1.5) * every)
        port = draw.choice(sorted(servers))
        await asyncio.to_thread(kill_server, servers[port])
        figures.kills += 1
        servers[port] = house.serve(port)


class _Crowd:
    def __init__(self, ports: list[int], figures: Figures, target: int) -> None:
        self.ports, self.figures, self.target = ports, figures, target
        self.stored: set[str] = set()
        self.limit = time.monotonic() + 3600

    @property
    def is_done(self) -> bool:
        return len(self.stored) >= self.target or time.monotonic() > self.limit

    async def annotator(self, who: dict[str, str], draw: random.Random) -> None:
        cookies = {"sessionid": who["session"], "csrftoken": "c" * 32}
        headers = {"X-CSRFToken": "c" * 32, "X-Margin-Annotator": who["pseudonym"]}
        limits = httpx.Limits(max_connections=len(self.ports))
        async with httpx.AsyncClient(cookies=cookies, headers=headers, limits=limits, timeout=60) as client:
            while not self.is_done:
                answer = await self._until_answered(client, draw, "GET", f"comparisons/next?count={AT_ONCE}")
                items = answer.json().get("items", [])
                if not items:
                    await asyncio.sleep(IDLE)
                for item in items:
                    await self._judge(client, draw, item)

    async def _judge(self, client: httpx.AsyncClient, draw: random.Random, item: dict[str, Any]) -> None:
        body = {"uid": str(uuid.UUID(int=draw.getrandbits(128))), "comparison": item["key"]}
        what = draw.random()
        if what < SKIPS:
            await self._until_answered(client, draw, "POST", "passes", {**body, "reason": "other"})
        elif what > LEAVES + SKIPS:
            said = {
                **body,
                "side": draw.choice(["left", "right"]),
                "grade": draw.choice(GRADES),
                "active_ms": 900,
            }
            answer = await self._until_answered(client, draw, "POST", "judgments", said)
            if answer.status_code in (200, 201):
                self.stored.add(body["uid"])
            else:
                self.figures.refused += 1
        # Else they walk away from this pair, and somebody gets it when the lease is over.

    async def _until_answered(
        self,
        client: httpx.AsyncClient,
        draw: random.Random,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Ask again, with the same id, until a server says what became of it."""
        while True:
            address = f"http://127.0.0.1:{draw.choice(self.ports)}/api/v1/{path}"
            began = time.perf_counter()
            try:
                answer = await client.request(method, address, json=body)
            except httpx.TransportError:
                self.figures.lost += 1
                await asyncio.sleep(0.1)
                continue
            times = self.figures.ask if method == "GET" else self.figures.send
            times.append(1000 * (time.perf_counter() - began))
            if answer.status_code < 500:
                return answer
            self.figures.errors.append(f"{answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.1)
