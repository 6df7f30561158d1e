"""The second look at the best candidates."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from knowledge import rerank
from knowledge.embedding.errors import EmbedderUnavailable
from knowledge.fusion import Candidate, Ranked


def ranking() -> list[Ranked]:
    return [
        Ranked(Candidate(n, f"d{n}", 1, "Title", f"{n}.md", "en", None, [], text), score=3.0 - n)
        for n, text in enumerate(("Sleep", "Habits form slowly", "Goals"))
    ]


def chunks(found: list[Ranked]) -> list[int]:
    return [ranked.candidate.chunk for ranked in found]


async def test_off_by_default(settings: Any) -> None:
    found = ranking()
    assert not await rerank.rerank("How do habits form?", found)
    assert chunks(found) == [0, 1, 2] and "rerank" not in found[0].scores


async def test_its_scores_decide(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COACH_RERANKER = "cross-encoder:some"
    scores = {"Sleep": 0.1, "Habits form slowly": 0.9, "Goals": 0.5}
    monkeypatch.setattr(
        rerank, "_by_cross_encoder", lambda name, query, first: [scores[one.candidate.text] for one in first]
    )
    found = ranking()
    assert await rerank.rerank("How do habits form?", found) == rerank.DONE
    assert chunks(found) == [1, 2, 0] and found[0].scores["rerank"] == 0.9


async def test_a_failing_or_slow_one_changes_nothing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COACH_RERANKER = "cross-encoder:some"

    def fail(name: str, query: str, first: Any) -> list[float]:
        raise EmbedderUnavailable("The reranker some could not be loaded.")

    monkeypatch.setattr(rerank, "_by_cross_encoder", fail)
    found = ranking()
    assert await rerank.rerank("How do habits form?", found) == rerank.FAILED
    assert chunks(found) == [0, 1, 2]
    monkeypatch.setattr(rerank, "_by_cross_encoder", lambda name, query, first: threading.Event().wait(0.3))
    monkeypatch.setattr(rerank, "SECONDS", 0.01)
    assert await rerank.rerank("How do habits form?", found) == rerank.LATE
    assert chunks(found) == [0, 1, 2] and "rerank" not in found[0].scores


async def test_the_language_model_names_the_passages_that_answer(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.COACH_RERANKER = "language-model"
    asked: list[Any] = []

    async def ask_json(request: Any, schema: Any, models: Any) -> dict[str, Any]:
        asked.append(request)
        return {"order": [2, 9, 2]}

    monkeypatch.setattr(rerank, "_models", lambda private: [])
    monkeypatch.setattr(rerank.structured, "ask_json", ask_json)
    found = ranking()
    assert await rerank.rerank("How do habits form?", found, private=True)
    assert chunks(found) == [1, 0, 2], "the others keep their order; numbers that are none are ignored"
    assert asked[0].private and "[2] Title: Habits form slowly" in asked[0].messages[0].content


def test_the_setting_is_checked() -> None:
    assert [rerank.check(id_) for id_ in ("", "language-model", "cross-encoder:x")] == ["", "", ""]
    assert rerank.check("cross-encoder") and rerank.check("other")
