"""The figures of information retrieval and of answers: pure functions."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

RESAMPLES = 1000
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_ARTICLES = frozenset(("a", "an", "the", "en", "ett", "ei", "et"))


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], k: int = 10) -> float:
    """Of ids, best first, none twice: gain over log2(rank + 1), as a share of the best order (as trec_eval)."""
    ideal = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(sorted(gains.values(), reverse=True)[:k], 1))
    found = sum(gains.get(id_, 0.0) / math.log2(rank + 1) for rank, id_ in enumerate(ranking[:k], 1))
    return found / ideal if ideal else 0.0


def recall(ranking: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """The share of the relevant ones that are among the first k."""
    return len(set(ranking[:k]) & set(gains)) / len(gains) if gains else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0.95) of the values lie; 0 of none."""
    return float(np.quantile(np.asarray(values), share)) if values else 0.0


def interval(values: Sequence[float], seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap confidence interval of a mean."""
    if not values:
        return 0.0, 0.0
    data = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(data), (RESAMPLES, len(data)))
    low, high = np.quantile(data[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def f1_interval(truth: Sequence[bool], said: Sequence[bool], seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap confidence interval of the F1 of `said` against `truth`."""
    if not truth:
        return 0.0, 0.0
    true, said_ = np.asarray(truth, bool), np.asarray(said, bool)
    picks = np.random.default_rng(seed).integers(0, len(true), (RESAMPLES, len(true)))
    hits = (true & said_)[picks].sum(axis=1)
    wrong = (true != said_)[picks].sum(axis=1)
    both = 2 * hits + wrong
    values = np.where(both > 0, 2 * hits / np.maximum(both, 1), 0.0)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def precision_recall_f1(truth: Sequence[bool], said: Sequence[bool]) -> tuple[float, float, float]:
    hits = sum(one and other for one, other in zip(truth, said, strict=True))
    precision = hits / sum(said) if any(said) else 0.0
    found = hits / sum(truth) if any(truth) else 0.0
    both = precision + found
    return precision, found, 2 * precision * found / both if both else 0.0


# --- answers -------------------------------------------------------------------------------------


def normal(text: str) -> str:
    """Lower case, without punctuation and articles, one blank between words (as SQuAD's, in our languages)."""
    text = unicodedata.normalize("NFKC", text).lower()
    plain = "".join(character if character.isalnum() else " " for character in text)
    return " ".join(word for word in plain.split() if word not in _ARTICLES)


def _units(text: str) -> list[str]:
    """Words; characters where the script is Hangul, whose words carry their particles (as KorQuAD)."""
    plain = normal(text)
    return list(plain.replace(" ", "")) if _HANGUL.search(plain) else plain.split()


def token_f1(answer: str, expected: Sequence[str]) -> float:
    """The best over the expected answers."""
    return max((_f1(_units(answer), _units(one)) for one in expected), default=0.0)


def token_recall(answer: str, expected: Sequence[str]) -> float:
    """How much of an expected answer is said, however much is said around it; the best over them."""
    best = 0.0
    said = Counter(_units(answer))
    for one in expected:
        units = Counter(_units(one))
        if units:
            best = max(best, sum((said & units).values()) / sum(units.values()))
    return best


def contains(answer: str, expected: Sequence[str]) -> bool:
    """One of the expected answers stands in it, as whole words; in Korean also with a particle behind it."""
    said = normal(answer)
    for one in expected:
        wanted = normal(one)
        if wanted and (f" {wanted} " in f" {said} " or (_HANGUL.search(wanted) and _close(wanted) in _close(said))):
            return True
    return False


def exact(answer: str, expected: Sequence[str]) -> bool:
    return any(normal(answer) == normal(one) for one in expected)


def _close(text: str) -> str:
    return text.replace(" ", "")


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0
