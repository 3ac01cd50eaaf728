"""A response server on this machine that says what a test tells it to, word by word."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from tests.local_server import LocalServer


@dataclass
class Script:
    """What one model answers: `words` after `pause` s each; it may die, or never go on, after some of them."""

    words: str = "One answer."
    pause: float = 0.0
    first: float = 0.0
    status: int = 200
    dies_after: int | None = None
    halts_after: int | None = None


@dataclass
class ChatServer(LocalServer):
    """A context; `scripts` by the model's name, or "" for any. `left` counts connections that the asker closed."""

    scripts: dict[str, Script] = field(default_factory=lambda: {"": Script()})
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    left: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append(body)
                server.keys.append(self.headers["authorization"])
                script = server.scripts.get(body["model"]) or server.scripts[""]
                try:
                    server.answer(self, script, body)
                except OSError:
                    server.left += 1

            def log_message(self, *_: object) -> None:
                pass

        self.serve(Handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        super().__exit__(kind, error, trace)

    def answer(self, handler: BaseHTTPRequestHandler, script: Script, body: dict[str, Any]) -> None:
        handler.send_response(script.status)
        handler.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
        handler.end_headers()
        if script.status != 200:
            handler.wfile.write(b"secret-of-the-server")
            return
        if not body.get("stream"):
            choice = {"message": {"content": script.words}, "finish_reason": "length"}
            handler.wfile.write(json.dumps({"choices": [choice]}).encode())
            return
        # A word that names the seed: answers to two requests differ as a model's do.
        words = script.words.replace("{seed}", str(body.get("seed"))).split(" ")
        time.sleep(script.first)
        for number, word in enumerate(words):
            if number == script.dies_after:
                return
            if number == script.halts_after:
                self.ended.wait(60)
            time.sleep(script.pause)
            self._say(handler, content=word if number == 0 else f" {word}")
        self._say(handler, finish="stop", usage={"completion_tokens": len(words)})
        handler.wfile.write(b"data: [DONE]\n\n")

    @staticmethod
    def _say(
        handler: BaseHTTPRequestHandler, content: str | None = None, finish: str | None = None, **more: Any
    ) -> None:
        delta = {} if content is None else {"content": content}
        event = {
            "choices": [{"delta": delta, "finish_reason": finish}],
            "model": "secret-of-the-server",
            **more,
        }
        handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        handler.wfile.flush()
