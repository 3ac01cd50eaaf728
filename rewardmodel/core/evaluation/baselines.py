"""What accuracy means little without: mere length, mere words, and how far people agree among themselves.

Knows texts and judgments, and scikit-learn. Must not know rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from annotation.core.records import PreferenceRecord
from rewardmodel.core.evaluation.pairs import Floats, Table, credits_of, mean

MOST_PAIRS: Final = 10_000  # that words are learnt from; more teach a bag of words little and cost seconds
COLUMNS: Final = 2**18
FEWEST_PAIRS: Final = 2  # that a word must stand in to be learnt from
REGULARISATION: Final = (
    0.1  # scikit-learn's C: the best of five in cross-validation on 1,379 pairs of HH-RLHF
)
# A word, a sign, or one Chinese or Japanese character: text without blanks has words too.
WORD: Final = r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]"


def words_credit(train: Sequence[PreferenceRecord], records: Sequence[PreferenceRecord]) -> Floats | None:
    """[N], the credit of a bag of words on `records`; None where `train` has fewer than two pairs.

    Logistic regression without intercept on the counts of words, chosen less rejected, each as log(1 + count);
    learnt from `train`, weighted as the reward model's pairs are. Deterministic.
    """
    learnt = _spread(sorted(train, key=lambda record: record.id))
    if len(learnt) < 2 or not records:
        return None
    # Without an intercept a pair and its mirror image say the same; every second one is mirrored for two classes.
    sides = np.where(np.arange(len(learnt)) % 2 == 0, 1, -1)
    differences = _counts(learnt)
    columns = np.flatnonzero(differences.getnnz(axis=0) >= FEWEST_PAIRS)
    if not len(columns):  # no word stands in two pairs: there is nothing to learn
        return np.full(len(records), 0.5)
    model = LogisticRegression(C=REGULARISATION, fit_intercept=False, max_iter=200, tol=1e-3)
    weights = np.array([record.weight for record in learnt])
    model.fit(differences[:, columns].multiply(sides[:, None]).tocsr(), sides, sample_weight=weights)
    return credits_of(np.asarray(_counts(records)[:, columns] @ model.coef_[0], dtype=np.float64))


def baselines(table: Table, train: Sequence[PreferenceRecord]) -> dict[str, Any]:
    """The baselines over all pairs of the table, and what each was made from."""
    return {
        "length": {"accuracy": mean(table.length), **_direction(table, train)},
        "bag_of_words": None
        if table.words is None
        else {"accuracy": mean(table.words), "learnt_from": min(len(train), MOST_PAIRS)},
        "people": people(table),
    }


def people(table: Table) -> dict[str, Any] | None:
    """How far people agree, over pairs with at least two judgments; None where there are none.

    `agree` is the share of a pair's people who made the choice that the row has; `two_agree` is how often two people
    drawn from one pair chose alike. The first counts the people who made the choice; the second does not. Pairs on
    which people were evenly split are in no snapshot, so that both are rather too high.
    """
    known = np.flatnonzero(~np.isnan(table.people))
    if not len(known):
        return None
    shares = table.people[known]
    judgments = np.array([table.pairs[place].record.judgments for place in known], dtype=np.float64)
    agreeing = np.round(shares * judgments)
    others = judgments - agreeing
    alike = (agreeing * (agreeing - 1) + others * (others - 1)) / (judgments * (judgments - 1))
    return {"agree": float(shares.mean()), "two_agree": float(alike.mean()), "pairs": len(known)}


def _direction(table: Table, train: Sequence[PreferenceRecord]) -> dict[str, Any]:
    """Longer or shorter, whichever people chose more often in training, and what that comes to here."""
    if not train:
        return {"learnt": None, "learnt_accuracy": None}
    lengths = np.array([len(record.chosen) - len(record.rejected) for record in train], dtype=np.float64)
    longer = float(credits_of(lengths).mean()) >= 0.5
    value = mean(table.length)
    learnt = value if longer or value is None else 1 - value
    return {"learnt": "longer" if longer else "shorter", "learnt_accuracy": learnt}


def _spread(records: Sequence[PreferenceRecord]) -> list[PreferenceRecord]:
    """At most MOST_PAIRS of them, evenly taken: keys are hashes, so that this is as good as by lot."""
    if len(records) <= MOST_PAIRS:
        return list(records)
    return [records[place] for place in np.linspace(0, len(records) - 1, MOST_PAIRS).astype(int)]


def _counts(records: Sequence[PreferenceRecord]) -> Any:
    """[N, COLUMNS]: log(1 + count) of the words of the chosen response, less those of the rejected one."""
    reader = HashingVectorizer(
        token_pattern=WORD, n_features=COLUMNS, alternate_sign=False, norm=None, dtype=np.float64
    )
    return _log_counts(reader, [r.chosen for r in records]) - _log_counts(
        reader, [r.rejected for r in records]
    )


def _log_counts(reader: HashingVectorizer, texts: Sequence[str]) -> Any:
    counts = reader.transform(texts)
    counts.data = np.log1p(counts.data)
    return counts
