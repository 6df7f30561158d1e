"""Vectors without half of their language."""

from __future__ import annotations

from typing import Any

import numpy as np

from knowledge.neutral import neutral_for


def test_languages_are_told_apart_by_their_means(e5: Any) -> None:
    neutral = neutral_for(e5)
    assert neutral.languages == ("en", "sv", "nb", "ko")
    texts = [
        "A habit forms when the same action follows the same cue for about two months.",
        "Sömn blir bättre med en fast tid att gå upp.",
    ]
    vectors = e5.embed_passages(texts)
    question = e5.embed_query("Hur lång tid tar det innan en vana sitter?")
    assert [neutral.language(vector) for vector in vectors] == ["en", "sv"]
    assert neutral.language(question) == "sv"
    cosines = neutral.cosines(neutral.question(question), vectors)
    assert cosines.shape == (2,) and np.all(cosines <= 1.0)
    assert neutral.cosines(neutral.question(question), np.zeros((0, e5.dimensions), np.float32)).shape == (0,)


def test_cosines_need_no_vectors_once_their_traits_are_known(e5: Any) -> None:
    neutral = neutral_for(e5)
    vectors = e5.embed_passages(["A habit needs a cue.", "Sömnen behöver en fast tid.", "습관에는 신호가 필요합니다."])
    question = neutral.question(e5.embed_query("Hur bygger jag en vana?"))
    traits = neutral.traits(vectors)
    assert [neutral.languages[language] for language, _ in traits] == ["en", "sv", "ko"]
    near = neutral.near(question, (vectors @ question).tolist(), traits)
    np.testing.assert_allclose(near, neutral.cosines(question, vectors), atol=1e-5)
    assert (neutral.near(question, [], []), neutral.traits(vectors[:0])) == ([], [])
