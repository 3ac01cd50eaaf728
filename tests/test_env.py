"""Reading the environment: what cannot be read is named, and a secret is not repeated."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env


def test_pairs_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", " Host=one=1, host:8000=two ,")
    assert env.pairs("KEYS") == {"host": "one=1", "host:8000": "two"}
    assert env.pairs("ABSENT") == {}


@pytest.mark.parametrize("text", ["hunter2", "=hunter2", "host=,a=hunter2"])
def test_a_wrong_pair_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KEYS", text)
    with pytest.raises(ImproperlyConfigured, match="KEYS must be") as caught:
        env.pairs("KEYS")
    assert "hunter2" not in str(caught.value)
