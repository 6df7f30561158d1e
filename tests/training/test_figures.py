"""Figures against values computed by hand."""

from __future__ import annotations

import math

import pytest

from training.evaluation import figures


def test_ndcg() -> None:
    assert figures.ndcg(["a", "b"], {"a": 1}) == 1.0
    assert figures.ndcg(["b", "a"], {"a": 1}) == pytest.approx(1 / math.log2(3))
    assert figures.ndcg(["x", "b", "a"], {"a": 2, "b": 1}) == pytest.approx(
        (1 / math.log2(3) + 2 / math.log2(4)) / (2 + 1 / math.log2(3))
    )
    assert figures.ndcg([str(n) for n in range(10)] + ["a"], {"a": 1}) == 0.0


def test_recall() -> None:
    assert figures.recall(["a", "x", "b"], {"a": 1, "b": 1}, 2) == 0.5
    assert figures.recall([], {"a": 1}, 5) == 0.0


def test_percentile_and_interval() -> None:
    assert figures.percentile([1, 2, 3, 4, 5], 0.5) == 3
    assert figures.percentile([], 0.95) == 0
    low, high = figures.interval([0.0, 1.0] * 50)
    assert 0.38 < low < 0.5 < high < 0.62
    assert figures.interval([1.0] * 5) == (1.0, 1.0)


def test_precision_recall_f1() -> None:
    truth, said = [True, True, False, False], [True, False, True, False]
    assert figures.precision_recall_f1(truth, said) == (0.5, 0.5, 0.5)
    assert figures.precision_recall_f1([False], [False]) == (0.0, 0.0, 0.0)
    low, high = figures.f1_interval([True, False] * 40, [True, False] * 40)
    assert low == high == 1.0


def test_answers() -> None:
    assert figures.exact("The erosion.", ["erosion"])
    assert figures.contains("It was formed by the Erosion of rock [1].", ["erosion"])
    assert not figures.contains("It was formed by corrosion.", ["rosion"])
    assert figures.token_f1("erosion of rock", ["erosion"]) == 0.5
    assert figures.token_recall("It was formed by erosion", ["erosion of rock"]) == pytest.approx(1 / 3)


def test_korean_is_compared_by_characters() -> None:
    assert figures.contains("그는 서울지방경찰청으로 갔습니다.", ["서울지방경찰청"])
    assert figures.token_f1("서울에", ["서울"]) == pytest.approx(0.8)
