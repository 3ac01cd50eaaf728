"""Registering policy versions, and the servers that answer for them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction

from annotation.core.events import Event
from annotation.errors import ConflictError
from annotation.models import User
from annotation.services.audit import record
from annotation.services.webhooks import announce
from training.core.client import ChatClient, ServerError
from training.errors import InvalidEndpointError
from training.models import PolicyVersion, Run
from training.services.references import output_path, served_name

log = structlog.get_logger(__name__)

LONGEST_ENDPOINT: Final = 200
CHECK_SECONDS: Final = 10.0


@transaction.atomic
def register_policy(
    *,
    name: str,
    sha256: str,
    run: Run,
    parent: PolicyVersion | None = None,
    adapter_on: PolicyVersion | None = None,
) -> PolicyVersion:
    """A new version of what `run` made; `sha256` is that of its manifest file.

    Raises:
        ConflictError: the name was taken while the run worked.
    """
    if PolicyVersion.objects.filter(name=name).exists():
        raise ConflictError(
            f"A policy named {name!r} was registered meanwhile. What this run made is kept in its folder."
        )
    policy = PolicyVersion.objects.create(
        name=name,
        parent=parent,
        adapter_on=adapter_on,
        path=output_path(run),
        sha256=sha256,
        run=str(run.uid),
    )
    record("policy.registered", policy, by=run.created_by, run=run.pk, sha256=sha256)
    announce(Event.POLICY_REGISTERED, {"id": policy.pk, "name": name})
    return policy


@transaction.atomic
def set_endpoint(
    *, policy: PolicyVersion, endpoint: str, endpoint_model: str = "", by: User | None = None
) -> PolicyVersion:
    """Say which server answers for the policy; empty: none does.

    Raises:
        InvalidEndpointError: it is no plain address of a server.
    """
    endpoint = endpoint.strip()
    if endpoint and (reason := _fault(endpoint)):
        raise InvalidEndpointError(
            f"Nothing was changed. {reason}", errors=[{"field": "endpoint", "reason": reason}]
        )
    before, policy.endpoint, policy.endpoint_model = policy.endpoint, endpoint, endpoint_model.strip()
    policy.save(update_fields=["endpoint", "endpoint_model"])
    record("policy.endpoint_set", policy, by=by, before=before, after=endpoint)
    log.info(
        "response server set", policy=policy.name, endpoint=endpoint, by=by.username if by else "a command"
    )
    return policy


def _fault(endpoint: str) -> str:
    """What is wrong with an address, in a sentence."""
    try:
        parts = urlsplit(endpoint)
        parts.port  # noqa: B018  raises for what is no port
    except ValueError:
        return "This is no address. Example: http://127.0.0.1:8001"
    if parts.scheme not in ("http", "https") or not parts.hostname or len(endpoint) > LONGEST_ENDPOINT:
        return "An address begins with http:// or https:// and names a host. Example: http://127.0.0.1:8001"
    if "@" in parts.netloc:
        return "Keys and passwords belong into RESPONSE_SERVER_KEYS, not into the address."
    if "?" in endpoint or "#" in endpoint or any(c.isspace() or not c.isprintable() for c in endpoint):
        return "An address ends with its path: no question mark, hash or blank."
    return ""


def key_for(endpoint: str) -> str | None:
    """The API key of a server, by its host and port or by its host alone."""
    parts = urlsplit(endpoint)
    keys: dict[str, str] = settings.RESPONSE_SERVER_KEYS
    return keys.get(parts.netloc.lower()) or keys.get((parts.hostname or "").lower())


def try_endpoint(*, policy: PolicyVersion) -> str:
    """Ask the policy's server for one token and say in a sentence what came; never what it wrote.

    Raises:
        ConflictError: no answer; the message says why.
    """
    if not policy.endpoint:
        raise ConflictError("There is no response server to try. Save an address first.")
    client = ChatClient(
        policy.endpoint,
        served_name(policy),
        api_key=key_for(policy.endpoint),
        timeout=CHECK_SECONDS,
        attempts=1,
    )
    try:
        with client:
            (answer,) = client.complete(
                [{"role": "user", "content": "Say hello."}], temperature=1.0, max_tokens=1
            )
    except ServerError as error:
        cause = str(error)
        raise ConflictError(f"{cause[0].upper()}{cause[1:]}.") from None
    return f"The response server answers: one token in {answer.latency_ms / 1000:.1f} s."
