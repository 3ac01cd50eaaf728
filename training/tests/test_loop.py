"""What the loop refuses before it begins; the whole of it is in tests/test_whole_loop.py."""

from __future__ import annotations

import pytest

from annotation.models import Batch
from training.services.loop import Loop, LoopError, Plan


class Deaf:
    def stage(self, name: str) -> None: ...

    def progress(self, text: str, done: int, total: int) -> None: ...

    def finished(self, name: str, seconds: float, what: str) -> None: ...

    def tick(self) -> None: ...


def test_the_loop_keeps_out_of_a_database_with_other_work(week: Batch) -> None:
    with pytest.raises(LoopError, match="holds other work"):
        Loop(Plan(model="tiny", seed=0, params={}), Deaf()).run()
