"""A judge on this machine that says what a test tells it to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

from tests.local_server import LocalServer

Reply = str | bytes | tuple[int, dict[str, str]]  # words, a whole body, or a status with headers

ANSWER: Final = re.compile(r"\[answer ([AB])\]\n(.*?)\n\[end of answer \1\]", re.DOTALL)


def likes(text: str) -> Callable[[str], Reply]:
    """A judge that names the answer in which `text` stands, wherever it stands; A where it stands in neither."""

    def reply(question: str) -> Reply:
        return next((letter for letter, answer in ANSWER.findall(question) if text in answer), "A")

    return reply


@dataclass
class JudgeHouse(LocalServer):
    """A context; `reply` answers a question. `questions` and `keys` are those of every request, in order."""

    reply: Callable[[str], Reply] = field(default_factory=lambda: likes("right"))
    questions: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        house = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with house._lock:
                    house._now += 1
                    house.most_at_once = max(house.most_at_once, house._now)
                    house.questions.append(body["messages"][0]["content"])
                    house.bodies.append({"path": self.path, **body})
                    house.keys.append(self.headers["authorization"])
                try:
                    house.answer(self, house.reply(body["messages"][0]["content"]))
                finally:
                    with house._lock:
                        house._now -= 1

            def log_message(self, *_: object) -> None:
                pass

        self.serve(Handler)
        return self

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        status, headers, content = 200, dict[str, str](), b"secret-of-the-server"
        if isinstance(reply, tuple):
            status, headers = reply
        elif isinstance(reply, str):
            content = json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
        else:
            content = reply
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
