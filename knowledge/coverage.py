"""Does the knowledge cover a question? The line between citing and saying that nothing was found.

Covered is a question whose best passage is near in meaning, or fairly near and holding most of the question's words.
Measured with e5-small, on the same questions that the thresholds were chosen on:

    our articles (709 passages, four languages)      covered
      70 questions about their subjects                 97 %
      56 questions about anything else, 36 greetings     3 %  (`Hvordan går det?`, two in Korean)
    grounded_multilingual, 480 questions of fact
      the passage with the answer is there              86 %  (cosine alone: 65 %)
      it is withheld, passages beside it remain         33 %  (cosine alone: 21 %)

The last line is as it must be: nearness cannot tell a passage that answers from its neighbour in the same article;
the language model can, and is told to.
"""

from __future__ import annotations

from collections.abc import Sequence

from .lexical import Hits, query_terms

# Of each embedder: the cosine that is enough, and the one that is enough when the words agree, too.
# Only those of e5-small are calibrated; the others are set by rule of thumb.
COSINES = {"e5-small": (0.86, 0.82), "minilm": (0.45, 0.30)}
COSINES_OF_OTHERS = (0.50, 0.35)
WORDS_SHARE = 0.6
LEAST_TERMS, LEAST_TERMS_ALONE = 12, 8  # 'Hi' is wholly contained in many a passage
NEAREST = 3


def by_meaning(embedder_id: str, dense: Sequence[tuple[int, float]]) -> tuple[bool, bool]:
    """(near, fairly near) of the best cosine. dense: (chunk, cosine), best first."""
    best = dense[0][1] if dense else -1.0
    near, fairly = COSINES.get(embedder_id, COSINES_OF_OTHERS)
    return best >= near, best >= fairly


def by_words(query: str, words: Hits, dense: Sequence[tuple[int, float]]) -> bool:
    """Most of the question's words stand in one of the nearest passages; without vectors: in the best by words."""
    if len(query_terms(query)) < (LEAST_TERMS if dense else LEAST_TERMS_ALONE):
        return False
    nearest = {chunk for chunk, _ in dense[:NEAREST]}
    return any(
        words.share(score) >= WORDS_SHARE
        for chunk, score in (words.ranking if nearest else words.ranking[:1])
        if not nearest or chunk in nearest
    )
