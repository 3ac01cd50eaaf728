"""What of a text is compared when near-duplicates are looked for: shingles, their Jaccard similarity, MinHash bands.

Two prompts are near-duplicates if the Jaccard similarity of their shingles is at least THRESHOLD. Shingles are the
runs of five characters of the normalised text: one compatibility form, no case, no punctuation, single blanks, a blank
at both ends. An ideograph, kana or Hangul syllable stands for about two letters and is written twice, so that a run
holds three of them. A text too short for a run is one shingle itself.

Candidates are found by MinHash (Broder 1997) with banding (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets,
section 3.4): 128 hashes as 32 bands of 4, so that texts of similarity s agree in a band with probability s^4. Two that
are exactly as similar as the threshold agree in 13 bands on average; in fewer than SHARED of them about once in a
million times, and the more alike they are, the more rarely. Unrelated texts hardly ever do: of similarity 0.2 once in
eight hundred times, of 0.1 once in two hundred thousand.

Knows texts and the library. Must not know prompts, splits or storage. Bands are stored, so they must be the same in
every process and on every machine: another release of the library may hash otherwise, hence its exact pin and a test
of known values (docs/prompts.md says what to do then).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

THRESHOLD: Final = 0.8
RUN: Final = 5  # characters of a shingle
BANDS: Final = 32
ROWS: Final = 4  # hashes of a band
SHARED: Final = 2  # bands that candidates have in common at least
SEED: Final = 20230718
BITS: Final = 2048

Shingles = npt.NDArray[np.uint64]  # hashes of the distinct shingles, ascending
Names = npt.NDArray[np.int64]

_TWICE: Final = re.compile(
    "([\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])"
)


class _Plain(dict[int, str]):
    """What a character becomes: punctuation, blanks and controls a blank, invisible ones nothing."""

    def __missing__(self, point: int) -> str:
        category = unicodedata.category(chr(point))
        plain = " " if category[0] in "PZ" or category == "Cc" else "" if category == "Cf" else chr(point)
        self[point] = plain
        return plain


_PLAIN: Final = _Plain()


def normalised(text: str) -> str:
    """`text` in one form for what reads alike; punctuation alone stays as it is."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_PLAIN).split()) or " ".join(folded.split())


def shingles(text: str) -> frozenset[str]:
    """The runs of the normalised text."""
    spaced = " " + _TWICE.sub(r"\1\1", normalised(text)) + " "
    return frozenset(spaced[start : start + RUN] for start in range(max(1, len(spaced) - RUN + 1)))


def hashed(texts: Sequence[str]) -> list[Shingles]:
    """The shingles of each text as 64-bit hashes."""
    rows = RMinHash.hash_token_sets([list(shingles(text)) for text in texts])
    return [np.sort(np.array(row, dtype=np.uint64)) for row in rows]


def bands(sets: Sequence[Shingles]) -> list[list[int]]:
    """BANDS digests of each set, signed and of 64 bits. Which band it is is part of the digest."""
    if not sets:
        return []
    ends = np.cumsum([0, *map(len, sets)], dtype=np.uint64)
    signatures = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(sets), ends, BANDS * ROWS, SEED)
    return [_bands(np.array(row, dtype="<u4")) for row in signatures.to_rows()]


def _bands(signature: npt.NDArray[np.uint32]) -> list[int]:
    return [
        int.from_bytes(blake2b(row.tobytes(), digest_size=8, salt=bytes([band])).digest(), "big", signed=True)
        for band, row in enumerate(signature.reshape(BANDS, ROWS))
    ]


def jaccard(one: Shingles, other: Shingles) -> float:
    """The share that two sets have in common of all that they hold together, 0 to 1."""
    common = np.intersect1d(one, other, assume_unique=True).size
    return common / (one.size + other.size - common)


def similarity(one: str, other: str) -> float:
    """The Jaccard similarity of two texts."""
    return jaccard(*hashed([one, other]))


def sharing(own: Mapping[int, Sequence[int]], held: Sequence[tuple[int, int]]) -> dict[int, Names]:
    """For each name in `own` the others that hold at least SHARED of its digests, those that hold most first.

    `held` is pairs of a digest and the name that holds it.
    """
    digests, names = np.array(held, dtype=np.int64).reshape(-1, 2).T
    order = np.argsort(digests, kind="stable")
    digests = digests[order]
    distinct, holders = np.unique(names[order], return_inverse=True)
    found = {}
    for name, wanted in own.items():
        starts, ends = (np.searchsorted(digests, np.array(wanted), side) for side in ("left", "right"))
        runs = [holders[start:end] for start, end in zip(starts, ends, strict=True)]
        shared = np.bincount(np.concatenate(runs), minlength=distinct.size)
        shared[distinct == name] = 0
        enough = np.flatnonzero(shared >= SHARED)
        found[name] = distinct[enough[np.argsort(-shared[enough], kind="stable")]]
    return found


class Crowd:
    """Many sets, to be asked which of them one may resemble: a prompt of a template that thousands share has thousands
    of candidates, and comparing it to each in turn would take a hundred times as long.

    Each set is a row of bits, one for each hash modulo BITS. A bit that one row alone has stands for at least one
    hash that its set alone has, so what the rows say is an upper bound of the similarity, and no set is overlooked.
    """

    def __init__(self, sets: Sequence[Shingles]) -> None:
        self._sizes = np.array([one.size for one in sets], dtype=np.int64)
        self._bits = np.zeros((len(sets), BITS // 64), dtype=np.uint64)
        for row, one in zip(self._bits, sets, strict=True):
            bits = np.zeros(BITS, dtype=np.bool_)
            bits[one & np.uint64(BITS - 1)] = True
            row[:] = np.packbits(bits).view(np.uint64)

    def resembling(self, index: int, others: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Those of `others` that may reach THRESHOLD, in their order; none that does is missing."""
        one, many = self._bits[index], self._bits[others]
        missing = np.bitwise_count(one & ~many).sum(axis=1, dtype=np.int64)
        added = np.bitwise_count(many & ~one).sum(axis=1, dtype=np.int64)
        size, sizes = self._sizes[index], self._sizes[others]
        common = np.minimum(size - missing, sizes - added)
        likely: npt.NDArray[np.intp] = others[common >= THRESHOLD * (size + sizes - common)]
        return likely
