"""What a long computation may say while it works: the door between a computation and whoever runs it.

Knows the Protocol and the two ways to end early. Must not know files, processes or databases.
"""

from __future__ import annotations

from typing import Protocol


class RunFailedError(Exception):
    """The work said no: the input cannot give a result. The message is shown to the researcher as it is."""


class RunCancelledError(Exception):
    """Somebody asked to stop; the last checkpoint stands."""


class Reporter(Protocol):
    """Heard by the process that runs the computation. All methods are cheap; call them often."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """`done` of `total` units ("pairs", "prompts", "steps") of the current stage are finished."""

    def stage(self, name: str) -> None:
        """A new stage begins ("encode", "fit", "evaluate"); progress counts from 0 again."""

    def metric(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""

    def note(self, text: str) -> None:
        """One sentence for the person who watches."""

    def check(self) -> None:
        """Raise RunCancelledError if somebody asked to stop. Call where a checkpoint has just been written."""


class Silent:
    """A reporter for tests and for use as a library."""

    def progress(self, done: int, total: int, unit: str) -> None: ...

    def stage(self, name: str) -> None: ...

    def metric(self, name: str, value: float, step: int) -> None: ...

    def note(self, text: str) -> None: ...

    def check(self) -> None: ...
