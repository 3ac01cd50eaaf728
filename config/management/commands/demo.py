"""`manage.py demo`: the whole product on this machine, from nothing to a pair to rate, until Ctrl-C."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import sys
import time
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from annotation.models import Batch, Role
from annotation.queries import batch_progress, open_batch
from annotation.services import batches, default_steps, guidelines, people, pool
from training.core.spec import RunKind
from training.core.states import RUN_ENDED, RunState
from training.launchers.children import Child, Children, clock_worker, run_worker
from training.models import Iteration, PolicyVersion, Run
from training.queries import latest_iteration
from training.services import iterations, start
from training.services.policies import set_endpoint
from training.services.storage import ensure_here

PEOPLE = (("ada", Role.ANNOTATOR), ("ben", Role.ANNOTATOR), ("rosa", Role.RESEARCHER))
PAIRS = 24
PARAMS: dict[str, dict[str, Any]] = {
    RunKind.SAMPLE: {"prompts": PAIRS, "max_new_tokens": 96},
    RunKind.REJECTION_SAMPLE: {"prompts": PAIRS, "samples_per_prompt": 4, "max_new_tokens": 96},
    RunKind.FINETUNE: {"examples_per_step": 8, "learning_rate": 2e-4},
}


class Command(BaseCommand):
    help = "Set everything up, start web server, workers and response server, and say how to sign in. Ctrl-C ends it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--model", default="smollm2", help="tiny, smollm2, a folder, a GGUF file or a Hub id"
        )

    def handle(self, **options: Any) -> None:
        port = options["port"]
        _check_port(port)
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job inherits SIGINT as ignored
            signal.signal(number, _interrupt)
        try:
            call_command("migrate", verbosity=0)
            passwords = self._people()
            with Children(run_worker(), clock_worker(), _web(port)) as children:
                policy = self._content(options["model"])
                self._serve(children, policy, port, passwords)
        except KeyboardInterrupt:
            self.stdout.write("\nStopped. Everything is kept; make demo goes on from here.")

    def _people(self) -> dict[str, str]:
        """Ada and Ben annotate, Rosa researches. Passwords are drawn once for this installation."""
        path = settings.MARGIN_HOME / "demo-passwords.json"
        if not path.exists():
            drawn = {name: secrets.token_urlsafe(9) for name, _ in PEOPLE}
            path.touch(mode=0o600)
            path.write_text(json.dumps(drawn))
        passwords: dict[str, str] = json.loads(path.read_text())
        for name, role in PEOPLE:
            people.ensure_person(username=name, password=passwords[name], role=role)
        return passwords

    def _content(self, model: str) -> PolicyVersion:
        """Guidelines, prompts, the first policy and a first week with pairs to rate; only what is missing."""
        guidelines.install_default_guidelines()
        pool.install_default_prompts()
        default_steps.install_default_steps()
        run = start.start_import_policy(name="V0", params={"source": model}, key="demo/import_policy")
        self._wait(run, f"Preparing the model {model}")
        policy = PolicyVersion.objects.get(run=str(run.uid))
        iteration = latest_iteration() or self._first_week(policy)
        batch = open_batch()
        if iteration.number == 1 and batch is not None and not batch_progress(batch).comparisons:
            key = "demo/sample"
            run = start.start_sample(batch=batch, policies=[policy], params=PARAMS[RunKind.SAMPLE], key=key)
            self._wait(run, f"Sampling {PAIRS} pairs for the first week")
        return policy

    def _first_week(self, policy: PolicyVersion) -> Iteration:
        batch: Batch = open_batch() or batches.open_batch(batch=batches.create_batch())
        return iterations.create_iteration(batch=batch, policy=policy, base=policy, params=PARAMS)

    def _wait(self, run: Run, text: str) -> None:
        if run.state == RunState.SUCCEEDED:
            return
        shown = ""
        while run.state not in RUN_ENDED:
            time.sleep(0.2)
            run.refresh_from_db()
            line = f"{text} … {run.stage} {run.done}/{run.total} {run.unit}" if run.total else f"{text} …"
            if line != shown:
                # A terminal gets one line that changes; a log gets the stages only.
                self._say(line, over=sys.stdout.isatty())
                shown = line
        self._say(f"{text}: {run.state}.".ljust(78))
        if run.state != RunState.SUCCEEDED:
            raise CommandError(f"{run.message} Its log: {run.folder / 'log.txt'}")

    def _say(self, line: str, *, over: bool = False) -> None:
        if over:
            self.stdout.write(line.ljust(78) + "\r", ending="")
            self.stdout.flush()
        elif sys.stdout.isatty() or "…" not in line:
            self.stdout.write(line)

    def _serve(self, children: Children, policy: PolicyVersion, port: int, passwords: dict[str, str]) -> None:
        answer_port = _free_port(port + 1)
        server = _response_server(policy, answer_port)
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/healthz", children)
        with Children(server) if server else Children() as answering:
            if server:
                _wait_for(f"http://127.0.0.1:{answer_port}/health", answering)
                # Only now: a page that offers live prompts must not find a server that still loads.
                set_endpoint(policy=policy, endpoint=f"http://127.0.0.1:{answer_port}")
            self.stdout.write(_welcome(address, passwords, answer_port if server else None))
            self.stdout.flush()
            while True:
                time.sleep(1)
                for name in (*children.revive(), *answering.revive()):
                    self.stdout.write(f"The {name} had died and was started again.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _check_port(port: int) -> None:
    if not _is_free(port):
        raise CommandError(f"Port {port} is taken. Choose another: make demo PORT={_free_port(port + 1)}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port(start: int) -> int:
    return next(port for port in range(start, 65536) if _is_free(port))


def _web(port: int) -> Child:
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--workers", "1", "--blocking-threads", "16", "config.wsgi:application"]
    return Child("web", command, settings.MARGIN_HOME / "logs" / "web.log")


def _response_server(policy: PolicyVersion, port: int) -> Child | None:
    """`transformers serve`, where its libraries are installed, for one policy.

    Naming the folder pins the server to it: without, it would load whatever path a request names.
    """
    if find_spec("fastapi") is None:
        return None
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(ensure_here(policy.path))]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    return Child("response-server", command, settings.MARGIN_HOME / "logs" / "response-server.log")


def _wait_for(url: str, children: Children, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            children.revive()
        time.sleep(0.2)
    raise CommandError(f"{url} did not answer within {patience:.0f} s. See {settings.MARGIN_HOME / 'logs'}.")


def _welcome(address: str, passwords: dict[str, str], answer_port: int | None) -> str:
    answering = (
        f"Responses come from http://127.0.0.1:{answer_port}/v1"
        if answer_port
        else "No response server: pip install -e '.[serve]' brings it"
    )
    return (
        f"\nMargin runs at {address}\n\n"
        f"  Rate pairs as an annotator    ada   {passwords['ada']}\n"
        f"                                ben   {passwords['ben']}\n"
        f"  Run the loop as a researcher  rosa  {passwords['rosa']}   {address}/admin/\n\n"
        f"{answering}. Logs: {settings.MARGIN_HOME / 'logs'}\nCtrl-C stops everything and keeps your work."
    )
