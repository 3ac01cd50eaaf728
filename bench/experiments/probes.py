"""Ways to turn features of a pair's two responses into a preference, each fitted on some pairs and tried on others.

Knows features and texts of pairs, row 2i preferred to row 2i + 1. Must not know files, folds or where features come
from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bench.experiments.folds import FloatArray
from rewardmodel.core.probe import Preferences, fit
from rewardmodel.core.report import Silent

IntArray = NDArray[np.int64]

# Takes the pairs to learn from and those to try, and gives a score difference (chosen less rejected) for the latter.
Method = Callable[[IntArray, IntArray], FloatArray]

SMALL: Final = 1e-6

# Words that occur in two responses or more. Where lengths are not normalised away, long responses have more of all.
VECTORS: Final[Mapping[str, Callable[[], Any]]] = {
    "presence": partial(CountVectorizer, binary=True, min_df=2),
    "counts": partial(CountVectorizer, min_df=2),
    "tf-idf": partial(TfidfVectorizer, ngram_range=(1, 2), min_df=2, sublinear_tf=True),
    "tf-idf, lengths kept": partial(
        TfidfVectorizer, ngram_range=(1, 2), min_df=2, sublinear_tf=True, norm=None
    ),
}


def bare_preferences(pairs: int) -> Preferences:
    """`pairs` preferences of row 2i over row 2i + 1, with neither margins nor safety labels."""
    return Preferences(
        chosen=torch.arange(0, 2 * pairs, 2),
        rejected=torch.arange(1, 2 * pairs, 2),
        margins=torch.zeros(pairs, dtype=torch.float64),
        weights=torch.ones(pairs, dtype=torch.float64),
        labelled=torch.zeros(0, dtype=torch.int64),
        signs=torch.zeros(0, dtype=torch.float64),
    )


def rows_of(pairs: IntArray) -> Tensor:
    """The rows of some pairs, chosen and rejected in turn."""
    return torch.from_numpy(np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1))


def probe(features: Tensor, l2: float) -> Method:
    """The product's own: standardised over rows, convex head, `rewardmodel.core.probe.fit`."""

    def method(train: IntArray, test: IntArray) -> FloatArray:
        head = fit(
            features[rows_of(train)],
            bare_preferences(len(train)),
            safety_loss_weight=0.0,
            l2=l2,
            report=Silent(),
        )
        rewards = features[rows_of(test)].double() @ head.weight
        return np.asarray(rewards[::2] - rewards[1::2], dtype=np.float64)

    return method


def probe_of_differences(features: Tensor, l2: float) -> Method:
    """As `probe`, but each feature is scaled by how much it differs within pairs, not over all rows."""
    half = (features[::2].double() - features[1::2].double()) / 2
    return probe(torch.stack([half, -half], dim=1).reshape(features.shape), l2)


def probe_of_components(features: Tensor, l2: float, components: int) -> Method:
    """As `probe`, on the first principal components of the training pairs' differences, each scaled to 1."""
    difference = features[::2].double() - features[1::2].double()

    def method(train: IntArray, test: IntArray) -> FloatArray:
        learnt = difference[torch.from_numpy(train)]
        scale = learnt.square().mean(dim=0).sqrt().clamp_min(SMALL)
        _, values, axes = torch.linalg.svd(learnt / scale, full_matrices=False)
        kept = min(components, int((values > SMALL * values[0]).sum()))
        turned = (difference / scale) @ (axes[:kept].T / values[:kept])
        return probe(torch.stack([turned, -turned], dim=1).reshape(-1, kept), l2)(train, test)

    return method


def longer(texts: Sequence[str]) -> Method:
    """The longer response wins, or the shorter one where that is more often right in training."""
    lengths = np.asarray([len(text) for text in texts], dtype=np.float64)
    signs = np.sign(lengths[::2] - lengths[1::2])

    def method(train: IntArray, test: IntArray) -> FloatArray:
        return np.asarray(signs[test] * (1.0 if signs[train].sum() >= 0 else -1.0), dtype=np.float64)

    return method


def bag_of_words(texts: Sequence[str], kind: str, c: float) -> Method:
    """Logistic regression on the difference of two responses' vectors of words, of a kind named in VECTORS.

    Vocabulary and weights come from the training responses alone. There is no intercept, so that neither order of
    a pair is preferred; every second pair is turned round, because a classifier wants to see both classes.
    """

    def method(train: IntArray, test: IntArray) -> FloatArray:
        words = VECTORS[kind]()
        learnt = words.fit_transform([texts[row] for row in rows_of(train)])
        tried = words.transform([texts[row] for row in rows_of(test)])
        turned = np.where(np.arange(len(train)) % 2, -1, 1)
        difference = (learnt[::2] - learnt[1::2]).multiply(turned[:, None]).tocsr()
        regression = LogisticRegression(C=c, fit_intercept=False, max_iter=2000)
        regression.fit(difference, turned)
        return np.asarray(regression.decision_function(tried[::2] - tried[1::2]), dtype=np.float64)

    return method


def together(*methods: Method) -> Method:
    """The sum of several methods' differences, each in log-odds."""

    def method(train: IntArray, test: IntArray) -> FloatArray:
        return np.asarray(sum(one(train, test) for one in methods), dtype=np.float64)

    return method
