"""`python -m tests.fuzz`: ask a real server for all that the API's schema allows, and for much that it does not.

schemathesis reads the schema from the server and holds every answer against it: statuses, shapes, headers, what may not
be accepted, and what one operation makes against what others then say of it. A house of its own is built, with a week,
judgments and a person who may do all; it is gone afterwards.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.house import House, answers, build_house, free_port, kill_server

SEED_HOUSE: Final = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from annotation.core.scopes import Scope
from annotation.models import Role
from annotation.services.batches import create_batch, seal_batch
from annotation.services.people import ensure_person
from annotation.services.tokens import make_token
from tests.factories import make_batch, make_comparisons, make_judgment, make_policy, make_user
petra = ensure_person(username="petra", password="correct horse", role=Role.ADMINISTRATOR)
people = [make_user("ada"), make_user("ben")]
for week in range(2):
    batch = make_batch(overlap=2)
    make_comparisons(batch, 4)
    for person in people * 3:
        make_judgment(person)
    if week == 0:
        seal_batch(batch=batch)
create_batch()
make_policy("V0")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(petra.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = petra.get_session_auth_hash()
session.save()
print(make_token(user=petra, name="fuzz", scopes=list(Scope))[1], session.session_key)
"""
# Streams for as long as a run lives, and so keeps a fuzzer waiting.
STREAMS: Final = r"/runs/\{uid\}/events"
SESSIONS_ONLY: Final = "/api/v1/tokens"
CSRF: Final = "0" * 32
# No schema says which bytes are a good file: its rows may be refused, one by one.
SETTINGS: Final = """
[[operations]]
include-operation-id = "imports_create"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""


def run(home: Path, *, examples: int, seed: int, phases: str, paths: str = "") -> int:
    """0: nothing was found; else what schemathesis found stands above."""
    with build_house(home) as house:
        house.environment["API_RATE"] = "0"
        token, session = house.run(SEED_HOUSE).split()
        port = free_port()
        server = house.serve(port)
        try:
            if not answers(port):
                raise RuntimeError((house.home / f"web-{port}.log").read_text())
            common = ["--max-examples", str(examples), "--seed", str(seed), "--phases", phases]
            bearer = ["--header", f"Authorization: Bearer {token}"]
            cookies = f"Cookie: sessionid={session}; csrftoken={CSRF}"
            browser = ["--header", cookies, "--header", f"X-CSRFToken: {CSRF}"]
            wanted = ["--include-path-regex", paths] if paths else ["--exclude-path-regex", STREAMS]
            found = _ask(house, port, [*common, *bearer, *wanted])
            if paths:
                return found
            return _ask(house, port, [*common, *browser, "--include-path-regex", SESSIONS_ONLY]) or found
        finally:
            kill_server(server)


def _ask(house: House, port: int, options: list[str]) -> int:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/api/v1/schema"]
    command += ["--checks", "all", "--continue-on-failure", "--suppress-health-check", "all", "--no-color"]
    # It reads its settings and writes caches where it runs.
    (house.home / "schemathesis.toml").write_text(SETTINGS)
    return subprocess.call(
        [
            *command,
            "--generation-database",
            "none",
            "--generation-with-security-parameters",
            "false",
            *options,
        ],
        cwd=house.home,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50, help="for each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--paths", default="", help="a regular expression; only these addresses")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        return run(
            Path(home), examples=given.examples, seed=given.seed, phases=given.phases, paths=given.paths
        )


if __name__ == "__main__":
    sys.exit(main())
