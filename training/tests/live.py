"""What tests of live prompts share: a body to send, asking, reading the lines, judging."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from django.test import Client

from annotation.core.grades import Choice, Grade
from annotation.models import User
from annotation.services.judgments import Answer, submit_judgment

LIVE = "/api/v1/live"


def body(**fields: Any) -> dict[str, Any]:
    return {
        "uid": str(uuid4()),
        "focus": "helpfulness",
        "text": "Why is the sky blue?",
        "continues": None,
    } | fields


def post(client: Client, path: str = "", **fields: Any) -> Any:
    return client.post(LIVE + path, fields, content_type="application/json")


def ask(client: Client, **fields: Any) -> list[dict[str, Any]]:
    answer = post(client, **body(**fields))
    assert answer.status_code == 200, answer.content
    return [json.loads(line) for line in b"".join(answer).split(b"\n") if line]


def said(lines: list[dict[str, Any]], side: str) -> str:
    return "".join(line[side] for line in lines if side in line)


def judge(user: User, key: str, choice: Choice = Choice.A, **label: Any) -> None:
    answer = Answer(choice=choice, grade=Grade.BETTER, **label)
    submit_judgment(annotator=user, comparison_key=key, uid=uuid4(), answer=answer)
