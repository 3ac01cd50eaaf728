"""Many examples in one packed row: what they share is computed once, and no example sees another.

Knows examples as tokens and spans, token trees, and where in a tree which token is predicted. Must not know text,
models or losses.

Winners of one prompt, a dialogue that goes on and a common system message make rows that begin alike. They become one
trie (rewardmodel.core.tree), whose attention rule keeps the branches apart. What is learnt stays each example's own: a
shared token that two examples learn counts twice, and where two branches part, one state predicts two next tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rewardmodel.core.layout import plan_batches
from rewardmodel.core.tree import IntArray, TokenTree, grow


@dataclass(frozen=True, slots=True)
class Example:
    """A row of tokens and the spans [start, stop) of it that are learnt; the loss of all others is zero.

    Spans ascend and do not overlap. `prompt` names what the dialogue began with: examples of one prompt are learnt in
    one step, where they share their computation.
    """

    tokens: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    prompt: str = ""

    def __post_init__(self) -> None:
        bounds = [bound for span in self.spans for bound in span]
        if not self.spans or bounds != sorted(bounds) or bounds[0] < 1 or bounds[-1] > len(self.tokens):
            raise ValueError(f"spans {self.spans} do not lie behind the first of {len(self.tokens)} tokens")

    @property
    def targets(self) -> int:
        """How many tokens of it are learnt."""
        return sum(stop - start for start, stop in self.spans)

    def learnt(self) -> IntArray:
        """The indices of its tokens that are learnt, ascending."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.spans])


@dataclass(frozen=True)
class Pack:
    """Examples that go through the model together: E of them, with R states to read and N distinct things to learn.

    Attributes:
        tree: their tokens, packed; its paths are the examples, in the order of `examples`.
        examples: numbers of the caller's examples, shape [E].
        reads: tokens of the tree at which something is predicted, ascending, shape [R].
        place: for each thing to learn, which of `reads` predicts it, ascending, shape [N].
        token: for each thing to learn, the token that comes next, shape [N].
        count: for each thing to learn, how many examples learn it, shape [N].
        own: for each example, in order, which of the things to learn are its own.
    """

    tree: TokenTree
    examples: tuple[int, ...]
    reads: IntArray
    place: IntArray
    token: IntArray
    count: IntArray
    own: tuple[IntArray, ...]

    @property
    def tokens(self) -> int:
        """Distinct tokens, which is what a pass computes."""
        return len(self.tree)


def plan_packs(examples: Sequence[Example], tokens_per_pack: int) -> list[Pack]:
    """All examples in packs of at most so many distinct tokens; a longer one has a pack of its own.

    The plan depends on the examples alone, so that a resumed run makes the same one.
    """
    batches = plan_batches([[example.tokens] for example in examples], tokens_per_batch=tokens_per_pack)
    return [_pack(batch.tree, batch.rows, examples) for batch in batches]


def pack(examples: Sequence[Example]) -> Pack:
    """All examples in one pack."""
    return _pack(grow([example.tokens for example in examples]), range(len(examples)), examples)


def _pack(tree: TokenTree, numbers: Sequence[int], examples: Sequence[Example]) -> Pack:
    """Join what is predicted at one place and is the same token; keep apart what differs in either."""
    at: list[IntArray] = []
    token: list[IntArray] = []
    for path, number in zip(tree.paths, numbers, strict=True):
        learnt = examples[number].learnt()
        at.append(path[learnt - 1])  # a token is predicted by the one before it
        token.append(tree.tokens[path[learnt]])
    width = int(tree.tokens.max()) + 1
    keys, inverse, count = np.unique(
        np.concatenate(at) * width + np.concatenate(token), return_inverse=True, return_counts=True
    )
    reads, place = np.unique(keys // width, return_inverse=True)
    bounds = np.cumsum([len(part) for part in at])[:-1]
    return Pack(tree, tuple(numbers), reads, place, keys % width, count, tuple(np.split(inverse, bounds)))
