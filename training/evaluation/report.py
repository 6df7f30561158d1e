"""An evaluation as a JSON document and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.models import EvaluationRun


def document(run: EvaluationRun) -> dict[str, Any]:
    return {
        "kind": str(run.kind),
        "data": run.data,
        "embedder": run.embedder,
        "model": run.model,
        "items": run.items,
        "seconds": run.seconds,
        "setting": run.setting,
        **run.figures,
    }


def table(run: EvaluationRun) -> str:
    rows = _retrieval_rows(run.figures) if run.kind == EvaluationRun.Kind.RETRIEVAL else _answer_rows(run.figures)
    return "\n".join([f"{run.data} · {run.embedder} · {run.model}".rstrip(" ·"), *_aligned(rows)])


def _answer_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    head = ["", "cases", "contains", "f1", "cite prec", "cite rec", "(all)", "phantom", "abst prec", "abst rec"]
    rows = [[*head, "abst F1", "covered", "gold shown", "seconds"]]
    groups = {**figures["languages"], **figures["sets"], "all": figures["all"]}
    for name, found in groups.items():
        rows.append(
            [
                name,
                f"{found['cases']}",
                _with_interval(found["match"]["contains"]),
                _number(found["match"]["f1"]["mean"]),
                _with_interval(found["citations"]["precision"]),
                _with_interval(found["citations"]["recall"]),
                _number(found["citations"]["all"]["mean"]),
                f"{found['phantom']}",
                _number(found["abstention"]["precision"]),
                _number(found["abstention"]["recall"]),
                _with_interval(found["abstention"]["f1"]),
                _number(found["covered"]),
                _number(found["gold_shown"]),
                f"{found['seconds']['p50']}",
            ]
        )
    return rows


def _retrieval_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    rows = [["", "", "ndcg@10", "recall@5", "recall@10", "p50 ms", "p95 ms"]]
    for name, found in {**figures["sets"], "mean": figures["mean"]}.items():
        for way in ("dense", "lexical", "hybrid"):
            one = found[way]
            latency = found.get("latency_ms", {}) if way == "hybrid" else {}
            rows.append(
                [
                    name if way == "dense" else "",
                    way,
                    *(_number(one[key]) for key in ("ndcg@10", "recall@5", "recall@10")),
                    *(f"{latency[key]:.1f}" if key in latency else "" for key in ("p50", "p95")),
                ]
            )
    return rows


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _with_interval(value: Mapping[str, float]) -> str:
    return f"{_number(value['mean'])} ({_number(value['low'])}–{_number(value['high'])})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at < 1 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
