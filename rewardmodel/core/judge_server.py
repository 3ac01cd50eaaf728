"""Asking a judge over OpenAI's chat completions: several questions at once, each paid for once.

Knows the wire format, what is worth another attempt, and the file of answers, from which a killed asking goes on. Must
not know what is asked, nor how an answer is read. The key goes to the server and nowhere else.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator

from annotation.core.records import canonical_json, content_key
from rewardmodel.core.judge import Answer
from rewardmodel.core.report import Reporter, RunFailedError

ANSWERS: Final = "answers.jsonl"
FIRST_PAUSE: Final = 1.0  # seconds; doubles with each attempt
LONGEST_PAUSE: Final = 60.0
ATTEMPTS: Final = 7  # with the pauses between them about a minute
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
NOT_THIS_ONE: Final = frozenset({400, 413, 422})  # too long, or against the server's rules: others may pass
ENOUGH_REFUSED: Final = 8  # and nothing answered: the fault is not the questions'
LONGEST_ANSWER: Final = 4 << 20  # bytes
SECONDS: Final = 120.0


class JudgeSpec(BaseModel):
    """Which judge, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    model: str = Field(min_length=1)
    at_once: int = Field(4, ge=1, le=64)
    max_tokens: int = Field(16, ge=1, le=32768)

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        if TypeAdapter(HttpUrl).validate_python(url).username or "?" in url or "#" in url:
            raise ValueError("an address without name, password, question mark or hash")
        return url


class RefusedError(Exception):
    """The server does not take this question; others may pass."""


class JudgeServer:
    """Answers questions from the file of those answered before, and asks for the others.

    `folder` keeps the answers. Temperature is 0. An answer is kept under what was asked of whom (address, model,
    question, length), so that another question, or another judge, is never answered by it.
    """

    def __init__(
        self, spec: JudgeSpec, *, key: str, folder: Path, report: Reporter, first_pause: float = FIRST_PAUSE
    ) -> None:
        self._spec = spec
        self._key = key
        self._folder = folder
        self._report = report
        self._first_pause = first_pause
        self._stopped = threading.Event()
        self._why = ""

    def ask(self, questions: Iterable[str]) -> Mapping[str, Answer]:
        """An answer for each question. A question that the server does not take is asked again another time.

        Raises:
            RunFailedError: the server cannot be used, or not now; what it answered is kept.
        """
        wanted = {
            question: content_key("judge", self._body(question), self._spec.url) for question in questions
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        with _answers(self._folder / ANSWERS) as kept:
            missing = [question for question, name in wanted.items() if name not in kept.known]
            self._report.stage("judge")
            self._report.progress(len(wanted) - len(missing), len(wanted), "answers")
            refused = self._ask_all(missing, wanted, kept) if missing else {}
            return {q: refused.get(q) or Answer(kept.known[name]) for q, name in wanted.items()}

    def _ask_all(self, missing: list[str], names: Mapping[str, str], kept: _Answers) -> dict[str, Answer]:
        refused: dict[str, Answer] = {}
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else None
        with (
            httpx.Client(
                headers=headers,
                timeout=httpx.Timeout(SECONDS, connect=10),
                limits=httpx.Limits(max_connections=self._spec.at_once),
                follow_redirects=False,  # they could lead anywhere, with the key
                trust_env=False,
            ) as http,
            ThreadPoolExecutor(self._spec.at_once) as pool,
        ):
            asked = {
                pool.submit(self._answer, http, question, names[question], kept): question
                for question in missing
            }
            try:
                for future in as_completed(asked):
                    if why := future.result():
                        refused[asked[future]] = Answer("", refused=why)
                        if len(refused) == min(ENOUGH_REFUSED, len(missing)) and not kept.known:
                            raise RunFailedError(f"The judge takes no question: {why}.")
                    done = len(names) - len(missing) + kept.added + len(refused)
                    self._report.progress(min(done, len(names)), len(names), "answers")
            except BaseException as error:
                self._stop(str(error))
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return refused

    def _answer(self, http: httpx.Client, question: str, name: str, kept: _Answers) -> str:
        """Ask, and keep the answer at once; returns why there is none where the question was refused.

        Raises:
            RunFailedError: the server cannot be used; then no other question is asked either.
        """
        if self._stopped.is_set():
            raise RunFailedError(self._why)
        try:
            kept.add(name, self._one(http, question))
        except RefusedError as error:
            return str(error)
        except RunFailedError as error:
            self._stop(str(error))
            raise
        return ""

    def _stop(self, why: str) -> None:
        if not self._stopped.is_set():
            self._why = why
            self._stopped.set()

    def _body(self, question: str) -> dict[str, Any]:
        return {
            "model": self._spec.model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": self._spec.max_tokens,
        }

    def _one(self, http: httpx.Client, question: str) -> str:
        """The judge's words. A pause ends at once when another question found that the server cannot be used."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            wait = 0.0
            try:
                status, wait, content = self._send(http, self._body(question))
            except httpx.RequestError as error:
                trouble = "it cannot be reached" if isinstance(error, httpx.ConnectError) else "it broke off"
            else:
                if status == httpx.codes.OK:
                    return _text_of(content)
                trouble = _meaning(status)
                if status in NOT_THIS_ONE:
                    raise RefusedError(trouble)
                if status not in TRANSIENT:
                    raise RunFailedError(f"The judge cannot be used: {trouble}.")
            if attempt < ATTEMPTS - 1 and self._stopped.wait(max(wait, self._pause_after(attempt))):
                raise RunFailedError(self._why)
        raise RunFailedError(
            f"The judge gave no answer in {ATTEMPTS} attempts: {trouble}. What it answered before is kept: the same "
            "command goes on from there."
        )

    def _pause_after(self, attempt: int) -> float:
        """Seconds: doubling, and uneven so that several do not return together."""
        full = min(LONGEST_PAUSE, self._first_pause * 2.0**attempt)
        return full * (0.5 + 0.5 * random.random())  # noqa: S311 - spreads load, guards nothing

    def _send(self, http: httpx.Client, body: Mapping[str, Any]) -> tuple[int, float, bytes]:
        """Status, the seconds that the server asks to wait, and the body of an answer; never that of an error."""
        address = self._spec.url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        with http.stream("POST", address, json=body) as response:
            if response.status_code != httpx.codes.OK:
                return response.status_code, _seconds(response.headers.get("Retry-After", "")), b""
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > LONGEST_ANSWER:
                    raise RunFailedError("The judge cannot be used: its answer is too large.")
            return response.status_code, 0.0, content


class _Answers:
    """The answers that are known, and the file that they are added to, one line each."""

    def __init__(self, known: dict[str, str], file: IO[bytes]) -> None:
        self.known = known
        self.added = 0
        self._file = file
        self._lock = threading.Lock()

    def add(self, name: str, text: str) -> None:
        with self._lock:
            self._file.write(canonical_json({"key": name, "text": text}).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self.known[name] = text
            self.added += 1


@contextmanager
def _answers(path: Path) -> Iterator[_Answers]:
    """The file, held by one process at a time. A line that a kill cut short is taken off.

    Raises:
        RunFailedError: another process asks into it, or a whole line of it is damaged.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFailedError(
                f"Another process is asking into {path.parent}. Choose another folder."
            ) from error
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
        yield _Answers(_known(path, content[:whole]), file)


def _known(path: Path, content: bytes) -> dict[str, str]:
    known = {}
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = json.loads(line)
            known[str(row["key"])] = str(row["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunFailedError(f"{path}, line {number}: not an answer. Take the line out.") from error
    return known


def _seconds(text: str) -> float:
    """Of a Retry-After; a date is passed over."""
    return min(LONGEST_PAUSE, float(text)) if text.isdecimal() else 0.0


def _text_of(content: bytes) -> str:
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise RunFailedError("The judge cannot be used: its answer is no chat completion.") from error
    return text if isinstance(text, str) else ""  # null is how some servers tell an empty answer


def _meaning(status: int) -> str:
    meanings = {
        401: "it wants another API key",
        403: "it wants another API key",
        404: "it does not know the model or the address",
        429: "it is busy",
    }
    side = "it broke" if status >= 500 else "it refused the question"
    return f"{meanings.get(status, side)} (HTTP {status})"
