"""What is sampled for a week: whose answers, at which temperatures, to which prompts.

Knows the shape of a batch's `plan` and what may stand in it. Must not know policies' rows or how sampling is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from annotation.core.curriculum import Mix, MixError, harder

HOTTEST: Final = 10.0
STEP: Final = 0.1  # between the temperatures of a range


class PlanError(ValueError):
    """Says what in a plan cannot be; `errors` holds {"field", "reason"} of each complaint."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(" ".join(f"{error['field']}: {error['reason']}" for error in errors))
        self.errors = [dict(error) for error in errors]


def _wrong(field: str, reason: str) -> PlanError:
    return PlanError([{"field": field, "reason": reason}])


@dataclass(frozen=True, slots=True)
class Plan:
    """`policies` by name, newest first; none: the newest and the one before (section 3.2.1). The two responses of a
    pair are drawn at two temperatures of the range from `coolest` to `hottest`."""

    policies: tuple[str, ...] = ()
    coolest: float = 0.7
    hottest: float = 1.0
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        if not 0 <= self.coolest <= self.hottest <= HOTTEST:
            raise _wrong(
                "hottest", f"Temperatures go up, from 0 to {HOTTEST:g}: {self.coolest:g} to {self.hottest:g}."
            )

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The range in steps of STEP, its ends included."""
        steps = round((self.hottest - self.coolest) / STEP)
        inner = [round(self.coolest + STEP * step, 6) for step in range(steps + 1)]
        return tuple(sorted({*(t for t in inner if t <= self.hottest), self.hottest}))

    def following(self) -> Plan:
        """The next week's: other policies by then, so none is named; prompts a step harder (appendix A.3.2)."""
        return replace(self, policies=(), mix=harder(self.mix))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "policies": list(self.policies), "mix": self.mix.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Nothing said is the default.

        Raises:
            PlanError: an unknown name, or a value that cannot be.
        """
        unknown = sorted(set(data) - set(cls.__dataclass_fields__))
        if unknown:
            raise _wrong(unknown[0], "A plan has no such field.")
        given = dict(data)
        for name in ("coolest", "hottest"):
            if name in given:
                given[name] = _number(name, given[name])
        policies = given.get("policies", ())
        if isinstance(policies, str) or not all(isinstance(name, str) for name in policies):
            raise _wrong("policies", "Use a list of names.")
        try:
            mix = Mix.from_json(given.get("mix", {}))
        except MixError as error:
            raise PlanError(error.errors) from error
        return cls(**{**given, "policies": tuple(policies), "mix": mix})


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "Use a number.")
    return float(value)
