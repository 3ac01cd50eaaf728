"""The blind order of a pair on the screen.

Knows how a side is drawn. Must not know which policy wrote which response.
"""

from __future__ import annotations

import hashlib

from annotation.core.grades import Choice


def left_choice(*, seed: int, comparison: str, annotator: str) -> Choice:
    """Which response stands on the left: a fair coin fixed by batch seed, comparison key and annotator.

    Drawn by hash and not by a stateful generator, so that a reload shows the same order, two annotators see
    independent orders, and the order can be checked afterwards.
    """
    digest = hashlib.sha256(f"{seed}:{comparison}:{annotator}".encode()).digest()
    return Choice.A if digest[0] & 1 else Choice.B
