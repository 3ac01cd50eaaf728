"""Which prompts a week asks: a mix that grows harder and longer, and how hard a prompt is (appendix A.3.2).

Knows shares, candidates and rewards as numbers. Must not know rows, runs or where the rewards come from.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any, Final, NamedTuple

THIRDS: Final = ("easy", "middle", "hard")
NEIGHBOURS: Final = {"easy": ("middle", "hard"), "middle": ("easy", "hard"), "hard": ("middle", "easy")}
LONGEST: Final = 8  # user turns that a mix grows to by itself
LEAST_EASY: Final = 0.1
MOST_HARD: Final = 0.6
STEP: Final = 0.1


class MixError(ValueError):
    """Says what in a mix cannot be; `errors` holds {"field", "reason"} of each complaint."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(" ".join(f"{name}: {reason}" for name, reason in errors))
        self.errors = [{"field": name, "reason": reason} for name, reason in errors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What a draw is made of. The default is a first week's: simple prompts of one turn.

    `easy`, `middle` and `hard` are shares of the draw by thirds of difficulty; they add up to 1. `turns` is the most
    user turns a prompt may be meant for. A topic or a source of weight 2 is drawn twice as readily as one of weight
    1, which those have that are not named; one of weight 0 never is.
    """

    easy: float = 0.6
    middle: float = 0.3
    hard: float = 0.1
    turns: int = 1
    safety_share: float = 0.25
    topics: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        errors = [
            *_bad_shares(self),
            *_bad_weights("topics", self.topics),
            *_bad_weights("sources", self.sources),
        ]
        turns: Any = self.turns
        if not isinstance(turns, int) or isinstance(turns, bool) or turns < 1:
            errors.append(("turns", "Use a whole number from 1."))
        if errors:
            raise MixError(errors)

    @property
    def shares(self) -> dict[str, float]:
        return {third: getattr(self, third) for third in THIRDS}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Mix:
        """Nothing said is the default.

        Raises:
            MixError: an unknown field, or a value that cannot be; names every one.
        """
        if not isinstance(data, Mapping):
            raise MixError([("mix", "Use an object of named fields.")])
        known = cls.__dataclass_fields__
        if unknown := sorted(str(name) for name in data if name not in known):
            raise MixError([(name, f"There is no such field: use {', '.join(known)}.") for name in unknown])
        return cls(**data)


def _bad_shares(mix: Mix) -> list[tuple[str, str]]:
    names = (*THIRDS, "safety_share")
    errors = [
        (name, "Use a share from 0 to 1.") for name in names if not _is_number(getattr(mix, name), most=1.0)
    ]
    if not errors and not math.isclose(total := sum(mix.shares.values()), 1, abs_tol=1e-6):
        errors.append(("hard", f"The three shares add up to {total:g}: they must add up to 1."))
    return errors


def _bad_weights(name: str, weights: Any) -> list[tuple[str, str]]:
    if not isinstance(weights, Mapping):
        return [(name, "Use an object of names and weights.")]
    return [
        (f"{name}.{key}", "Use a weight from 0.")
        for key, weight in weights.items()
        if not isinstance(key, str) or not _is_number(weight, most=math.inf)
    ]


def _is_number(value: Any, *, most: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= most


def harder(mix: Mix) -> Mix:
    """Next week's mix: a tenth of the draw moves from the easy third to the hard one, and dialogues may be a turn
    longer ("intentionally collect more multi-turn samples", appendix A.3.1). It ends at a tenth of easy prompts, six
    tenths of hard ones and LONGEST turns; what is beyond that already stays."""
    moved = max(0.0, min(STEP, mix.easy - LEAST_EASY, MOST_HARD - mix.hard))
    return replace(
        mix,
        easy=round(mix.easy - moved, 6),
        hard=round(mix.hard + moved, 6),
        turns=max(mix.turns, min(LONGEST, mix.turns + 1)),
    )


# Drawing


class Candidate(NamedTuple):
    """A prompt that may be drawn. Of those of one `family`, near-duplicates of each other, at most one is."""

    key: str
    family: str
    safety: bool = False
    difficulty: float | None = None
    topic: str = ""
    source: str = ""
    turns: int = 1


class Draw(NamedTuple):
    """`keys` are what was drawn. `lacking` counts, by words like "safety hard", the places that prompts of another
    third took or that stay empty, because there were too few of their own."""

    keys: tuple[str, ...]
    lacking: dict[str, int]


def third_of(difficulty: float | None) -> str:
    """Easy below 1/3, hard from 2/3 on. What is not estimated counts as middle."""
    return "middle" if difficulty is None else THIRDS[min(2, int(difficulty * 3))]


def draw(prompts: Iterable[Candidate], mix: Mix, *, count: int, seed: int) -> Draw:
    """Up to `count` keys in the shares of the mix; adversarial prompts come last.

    The order within a third is a weighted one by a hash of seed and key (Efraimidis and Spirakis 2006), so that
    the order of `prompts` does not matter, and that a prompt that is added takes at most one other's place (or its
    near-duplicate's too).
    """
    of_focus: dict[bool, list[Candidate]] = {False: [], True: []}
    families: set[str] = set()
    for _, prompt in sorted((place, p) for p in prompts if (place := _place(p, mix, seed)) < math.inf):
        if prompt.family not in families:
            families.add(prompt.family)
            of_focus[prompt.safety].append(prompt)
    wanted = round(count * mix.safety_share)
    safety, lacks_safety = _draw(of_focus[True], mix, wanted)
    helpful, lacks_helpful = _draw(of_focus[False], mix, count - len(safety))
    lacking = {f"helpfulness {third}": n for third, n in lacks_helpful.items()}
    return Draw((*helpful, *safety), lacking | {f"safety {third}": n for third, n in lacks_safety.items()})


def _place(prompt: Candidate, mix: Mix, seed: int) -> float:
    """The lower, the sooner drawn; infinite where it is not drawn at all."""
    weight = mix.topics.get(prompt.topic, 1.0) * mix.sources.get(prompt.source, 1.0)
    if weight == 0 or prompt.turns > mix.turns:
        return math.inf
    digest = hashlib.sha256(f"{seed}:{prompt.key}".encode()).digest()
    return -math.log1p(-int.from_bytes(digest[:6], "big") / 2**48) / weight


def _draw(ranked: Sequence[Candidate], mix: Mix, count: int) -> tuple[list[str], dict[str, int]]:
    """The first of each third, and of the neighbours where a third has too few."""
    seats = _seats(mix.shares, count)
    own = {third: [p.key for p in ranked if third_of(p.difficulty) == third] for third in THIRDS}
    drawn = {key for third in THIRDS for key in own[third][: seats[third]]}
    spare = {third: own[third][seats[third] :] for third in THIRDS}
    lacking = {third: n for third in THIRDS if (n := seats[third] - len(own[third])) > 0}
    for neighbour in (name for third in lacking for name in NEIGHBOURS[third]):
        drawn.update(spare[neighbour][: count - len(drawn)])
    return [prompt.key for prompt in ranked if prompt.key in drawn], lacking


def _seats(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """`count` places in these shares: whole ones first, the others to the largest remainders."""
    exact = {name: share * count for name, share in shares.items()}
    seats = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: seats[name] - exact[name])
    for name in by_remainder[: count - sum(seats.values())]:
        seats[name] += 1
    return seats


# Difficulty


class Standing(NamedTuple):
    """How a policy's K answers to a prompt did: mean and maximum of their rewards, raw."""

    mean: float
    best: float


def standing_of(rewards: Sequence[float]) -> Standing:
    """
    Raises:
        ValueError: no reward, or one that is not finite.
    """
    if not rewards or not all(map(math.isfinite, rewards)):
        raise ValueError("the rewards of a prompt are finite numbers, and at least one")
    return Standing(fmean(rewards), max(rewards))


def difficulties(standings: Iterable[Standing], house: Sequence[Standing]) -> list[float]:
    """How hard each prompt is among all that the same reward model has scored (`house`, itself included): 0 to 1.

    One minus the mean of two percentiles, that of its mean reward and that of its best: where both fall, it is harder
    (Fig. 26 shows median and maximum fall from batch to batch). A percentile is the share of prompts below plus half
    of those equal, so the scale of the reward model does not matter. It says how one policy does by one reward model
    and nothing of the prompt alone.
    """
    means, bests = sorted(s.mean for s in house), sorted(s.best for s in house)
    return [1 - (_percentile(s.mean, means) + _percentile(s.best, bests)) / 2 for s in standings]


def _percentile(value: float, ordered: Sequence[float]) -> float:
    return (bisect_left(ordered, value) + bisect_right(ordered, value)) / (2 * len(ordered))
