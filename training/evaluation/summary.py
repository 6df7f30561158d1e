"""From answered cases to figures, for all of them, by set and by language.

What counts as right
    match             of answerable questions: `exact`, `contains` (an expected answer stands in it), `f1` and `recall`
                      of its words (Korean: characters); an abstention there is a miss
    citations         of answerable questions that were answered: precision, the share of cited contexts that hold the
                      answer; recall, the share of answers that cite the context that does. `all` counts what is cited
                      under an unanswerable question, too, as wrong
    phantom           numbers in answers that no source has
    abstention        that a question cannot be answered: precision, recall and F1 of having said so
Intervals are 95 %, by bootstrap over the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import figures
from .answers import Answered
from .wording import without_numbers

Figures = dict[str, Any]


def summarise(answered: Sequence[Answered], seed: int = 0) -> Figures:
    """{"all": …, "sets": {name: …}, "languages": {code: …}}"""
    done = [one for one in answered if one.state == "done"]
    return {
        "all": _figures(done, seed) | {"failed": len(answered) - len(done)},
        "sets": _grouped(done, lambda one: one.set, seed),
        "languages": _grouped(done, lambda one: one.language, seed),
        "models": sorted({one.model for one in done}),
    }


def _grouped(answered: Sequence[Answered], key: Callable[[Answered], str], seed: int) -> dict[str, Figures]:
    names = sorted({key(one) for one in answered})
    return {name: _figures([one for one in answered if key(one) == name], seed) for name in names}


def _figures(answered: Sequence[Answered], seed: int) -> Figures:
    answerable = [one for one in answered if one.answerable]
    return {
        "cases": len(answered),
        "answerable": len(answerable),
        "match": _match(answerable, seed),
        "citations": _citations(answered, seed),
        "phantom": sum(len(one.phantom) for one in answered),
        "abstention": _abstention(answered, seed),
        "covered": _share([one.covered for one in answerable]),
        "gold_shown": _share([one.gold in one.shown for one in answerable if one.gold]),
        "seconds": {
            "p50": round(figures.percentile([one.seconds for one in answered], 0.5), 2),
            "p95": round(figures.percentile([one.seconds for one in answered], 0.95), 2),
        },
        "first_token": round(figures.percentile([one.first_token for one in answered if one.first_token], 0.5), 2),
        "characters": round(sum(len(one.answer) for one in answered) / len(answered)) if answered else 0,
    }


def _match(answerable: Sequence[Answered], seed: int) -> Figures:
    def values(measure: Callable[[str, Sequence[str]], float]) -> list[float]:
        return [
            0.0 if one.abstained else float(measure(without_numbers(one.answer), one.expected))
            for one in answerable
            if one.expected
        ]

    return {
        "exact": _mean(values(figures.exact), seed),
        "contains": _mean(values(figures.contains), seed),
        "f1": _mean(values(figures.token_f1), seed),
        "recall": _mean(values(figures.token_recall), seed),
    }


def _citations(answered: Sequence[Answered], seed: int) -> Figures:
    judged = [one for one in answered if one.answerable and one.gold and not one.abstained]
    right = [one.gold == cited for one in judged for cited in one.cited]
    wrong = [False for one in answered if not one.answerable for _ in one.cited]
    return {
        "precision": _mean([float(hit) for hit in right], seed),
        "recall": _mean([float(one.gold in one.cited) for one in judged], seed),
        "all": _mean([float(hit) for hit in [*right, *wrong]], seed),
        "cited": len(right) + len(wrong),
        "answers_without": sum(not one.cited for one in judged),
    }


def _abstention(answered: Sequence[Answered], seed: int) -> Figures:
    truth = [not one.answerable for one in answered]
    said = [one.abstained for one in answered]
    precision, recall, f1 = figures.precision_recall_f1(truth, said)
    low, high = figures.f1_interval(truth, said, seed)
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": {"mean": round(f1, 4), "low": round(low, 4), "high": round(high, 4)},
        "said": sum(said),
    }


def _mean(values: Sequence[float], seed: int) -> Figures:
    low, high = figures.interval(values, seed)
    mean = sum(values) / len(values) if values else 0.0
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
