"""The resident scorer: one process that holds a reward model and answers over plain HTTP.

Reads one line of JSON from its standard input, loads the model, listens, and prints {"port": …} as one line; or
{"error": …}, and ends with exit code 2. It ends when its standard input ends: whoever started it holds the other side.
The line: {"reference": {"name", "path", "backbone"}, "key", "host", "port" (0: a free one), "device",
"tokens_per_batch" (null: that of the training)}. By hand: (cat line.json; cat) | python -m rewardmodel.core.serve

    POST /score {"items": [{"messages": […], "responses": […]}], "seconds": 30} -> {"rewards": [[…]]}
    GET /health -> {"reward_model", "waiting", "passes"}

Both want "Authorization: Bearer KEY", since every program on the machine reaches the port. Errors are {"error": …}:
400 no such request, 401 another key, 413 too long, 422 texts that cannot be rated, 500 the model broke, 503 busy.
Must not know Django, databases, or who asks.
"""

from __future__ import annotations

import hmac
import json
import os
import signal
import sys
import threading
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers.utils.logging import disable_progress_bar

from annotation.core.records import Message
from rewardmodel.core.asked import AskedError
from rewardmodel.core.report import RunFailedError
from rewardmodel.core.scorer import load
from rewardmodel.core.serve_desk import BusyError, Desk, LateError

FAILED: Final = 2
PARENT_DIED: Final = 70
LONGEST_BODY: Final = 32 << 20  # bytes
PATIENCE: Final = 20.0  # seconds for a client to send what it began


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Line(_Shape):
    """What the process is told at its start."""

    reference: dict[str, Any]
    key: str = Field(min_length=16)
    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tokens_per_batch: int | None = None


class Turn(_Shape):
    role: Literal["system", "user", "assistant"]
    content: str


class Item(_Shape):
    messages: list[Turn]
    responses: list[str]


class Asked(_Shape):
    items: list[Item]
    seconds: float = Field(gt=0, le=3600)


class Server(ThreadingHTTPServer):
    """Listens; each connection has a thread, and all of them ask one desk."""

    request_queue_size = 128

    def __init__(self, place: tuple[str, int], *, name: str, key: str, desk: Desk) -> None:
        super().__init__(place, Handler)
        self.name = name
        self.key = key
        self.desk = desk


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"  # but one request a connection: nothing idle keeps the process from ending
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self._is_for("/health"):
            desk = self.server.desk
            self._answer(
                200, {"reward_model": self.server.name, "waiting": desk.waiting, "passes": desk.passes}
            )

    def do_POST(self) -> None:
        if self._is_for("/score") and (body := self._body()) is not None:
            self._answer(*self._scored(body))

    def _is_for(self, path: str) -> bool:
        given = self.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, f"Bearer {self.server.key}".encode()):
            self._answer(401, {"error": "The key is not this scorer's."})
        elif self.path != path:
            self._answer(404, {"error": "There is nothing at this address."})
        else:
            return True
        return False

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            self._answer(411, {"error": "Say the length of the body."})
        elif int(length) > LONGEST_BODY:
            self._answer(413, {"error": f"The body is longer than {LONGEST_BODY:,} bytes."})
        else:
            return self.rfile.read(int(length))
        return None

    def _scored(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            asked = Asked.model_validate_json(body)
            groups = [(_messages(item), item.responses) for item in asked.items]
            return 200, {"rewards": self.server.desk.ask(groups, seconds=asked.seconds)}
        except ValidationError as error:
            return 400, {"error": str(error.errors(include_url=False, include_input=False)[0]["msg"])}
        except AskedError as error:
            return 422, {"error": str(error)}
        except (BusyError, LateError):
            return 503, {"error": "Too much waits to be scored. Ask again later."}
        except Exception:  # noqa: BLE001  whatever broke, the next request may go well
            traceback.print_exc()
            return 500, {"error": "The model broke on these texts; see the scorer's log."}

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(status, HTTPStatus(status).phrase)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is http.server's
        """Requests are no news; the log is for what broke."""


def _messages(item: Item) -> list[Message]:
    return [{"role": turn.role, "content": turn.content} for turn in item.messages]


def main() -> int:
    disable_progress_bar()  # type: ignore[no-untyped-call]  # bars that redraw themselves are noise in a log
    line = Line.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    try:
        scorer = load(line.reference, device=line.device, tokens_per_batch=line.tokens_per_batch)
        desk = Desk(scorer)
        server = Server((line.host, line.port), name=line.reference["name"], key=line.key, desk=desk)
    except (RunFailedError, OSError) as error:
        _say({"error": str(error)})
        return FAILED
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: a handler may run while this one holds the desk's lock.
        signal.signal(number, lambda *_: threading.Thread(target=desk.close).start())
    threading.Thread(target=server.serve_forever, name="listen", daemon=True).start()
    _say({"port": server.server_address[1]})
    desk.run()  # the model stays in the thread that loaded it
    server.shutdown()
    server.server_close()  # waits for what is being sent
    return 0


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    while os.read(0, 4096):  # not by sys.stdin, whose lock the interpreter wants when it ends
        pass
    os._exit(PARENT_DIED)


if __name__ == "__main__":
    sys.exit(main())
