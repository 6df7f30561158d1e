"""Does the knowledge cover a question? The line between citing and saying that nothing was found.

A question for advice ('How do I …', 'my boss …') or about a subject ('What does research say about …') is covered when
its best passage is near in meaning, or when a passage that is fairly near holds most of its words. A question of fact
('When …', 'Which …') needs more: the less near the passage is, the more of the question's words must stand there. The
passage that answers it says the same names, its neighbour only the same subject.
Cosines are those without language (neutral.py), which tell the two apart far better. Measured with e5-small on our
articles (709 passages, four languages), best cosine at 10 %, half and 90 % of the questions:

    40 questions about their subjects      .66  .72  .77
    136 about anything else, or greetings  .50  .57  .63

With the thresholds below 98 % of those 40 and 89 % of 125 questions put together from subjects and phrases are
covered, and none of the 136. Of 480 questions of fact whose passage is there or withheld, 85 % of the first are; "not
covered" is right for the withheld ones with an F1 of .77 (it was .70 with a bare half of the words). More reaches .80,
and leaves every fifth real question without its passage.
Nearness cannot tell a passage that answers from its neighbour in the same article; the language model can.
`calibrate` finds the thresholds of an index from questions that no coaching knowledge covers (off_topic.toml).
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Container, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llm.loops import run

from . import index
from .embedding.registry import embedder
from .lexical import FUNCTION_WORDS, Hits, query_terms, words_of
from .neutral import neutral_for
from .types import LiveIndex

if TYPE_CHECKING:
    from .models import IndexGeneration

# The cosine that is enough, and the one that is enough when the words agree, too; of an index not calibrated.
COSINES = {"e5-small": (0.64, 0.54)}
COSINES_OF_OTHERS = (0.50, 0.35)
# How far a calibration may move those of an embedder we measured: a base can be about taps and mushrooms.
MOST_MOVED = 0.03
OFF_TOPIC_BELOW, FAIRLY = 0.97, 0.35  # shares of the off-topic questions below the two thresholds
WORDS_SHARE = 0.6  # of a fairly near passage
# Of a question of fact: the share of its words (at most MOST_SHARE counts), and CLOSER times what its best passage is
# nearer than near, make together FACT_ENOUGH.
CLOSER, MOST_SHARE, FACT_ENOUGH = 2.0, 1.2, 0.64
CROSSED = 0.08  # or so much nearer than near, when the passage is in another language
# Who asks about their own life, how and why, or what is known about a subject. The rest asks for facts.
# fmt: off
OPEN = re.compile(
    r"\b(?:i|me|my|myself|we|us|our|how (?:do|can|could|should|to|would|might)|why|help|helps|advice|tips|should"
    r"|about|common|research\w*|forskning\w*|forskare\w*|forskere\w*|vanlig\w*"
    r"|jag|mig|min|mitt|mina|vi|oss|vår|vårt|våra|varför|hjälp\w*|råd|bör"
    r"|hur(?! (?:många|mycket|gammal|gamla|lång|långt|långa|länge|stor|stort|stora|hög|högt|ofta|nära|bred|djup))"
    r"|jeg|meg|mine|våre|hvordan|hvorfor|hjelp\w*|bør)\b"
    r"|어떻게|어떡|왜|저는|저의|저에게|제가|제 |나는|내가|내 |우리|방법|도움|좋을까|하면 |해야|될까"
    r"|에 대해|흔히|흔한|연구"
)
# fmt: on
LEAST_TERMS, LEAST_TERMS_ALONE = 12, 8  # 'Hi' is wholly contained in many a passage
NEAREST = 3

Ranking = Sequence[tuple[int, float]]


def covered(
    query: str,
    live: Sequence[LiveIndex],
    dense: Mapping[str, Ranking],
    words: Hits,
    crossed: Container[int] = frozenset(),
) -> bool:
    """dense: of each embedder (chunk, cosine), best first; none when only words were searched.

    crossed     chunks in another language than the question
    """
    if not any(word not in FUNCTION_WORDS for word in words_of(query)):
        return False  # 'Hvordan går det?' names nothing that could be covered
    if not dense:
        return _by_words(query, words, ())
    fact = asks_for_fact(query)
    for embedder_id, ranking in dense.items():
        best = ranking[0][1] if ranking else -1.0
        near, fairly = thresholds(embedder_id, [one.coverage for one in live if one.embedder == embedder_id])
        if fact and ranking and not _has_its_words(best - near, _share(words, ranking), ranking[0][0] in crossed):
            continue
        if best >= near or (best >= fairly and _by_words(query, words, ranking)):
            return True
    return False


def _has_its_words(closer: float, share: float, crossed: bool) -> bool:
    """closer: than near. In another language the words are others, so that only nearness tells."""
    return CLOSER * closer + min(share, MOST_SHARE) >= FACT_ENOUGH or (crossed and closer >= CROSSED)


def enough(query: str, near: float) -> float:
    """The cosine from which a question is covered when half of its words stand in the passage."""
    return near + max(0.0, (FACT_ENOUGH - 0.5) / CLOSER) if asks_for_fact(query) else near


def asks_for_fact(query: str) -> bool:
    return not OPEN.search(query.lower())


def thresholds(embedder_id: str, calibrated: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """(near, fairly near); of several indexes the highest."""
    near, fairly = COSINES.get(embedder_id, COSINES_OF_OTHERS)
    nears = [one.get("near", near) for one in calibrated]
    fairlies = [one.get("fairly", fairly) for one in calibrated]
    return max(nears, default=near), max(fairlies, default=fairly)


def _by_words(query: str, words: Hits, dense: Ranking) -> bool:
    """Most of the question's words stand in one of the nearest passages; without vectors: in the best by words."""
    if len(query_terms(query)) < (LEAST_TERMS if dense else LEAST_TERMS_ALONE):
        return False
    return _share(words, dense or words.ranking[:1]) >= WORDS_SHARE


def _share(words: Hits, dense: Ranking) -> float:
    """The largest share of the question's words in one of the nearest passages."""
    nearest = {chunk for chunk, _ in dense[:NEAREST]}
    return max((words.share(score) for chunk, score in words.ranking if chunk in nearest), default=0.0)


# --- calibration ---------------------------------------------------------------------------------


@cache
def off_topic() -> dict[str, tuple[str, ...]]:
    """Language → questions and small talk that no knowledge for coaching covers."""
    text = (Path(__file__).parent / "off_topic.toml").read_text(encoding="utf-8")
    return {language: tuple(questions) for language, questions in tomllib.loads(text).items()}


def calibrate(generation: IndexGeneration) -> dict[str, float]:
    """What goes into `IndexGeneration.coverage`: {"near", "fairly", "questions"}; {} for an empty index.

    84 questions are embedded and searched for: half a second with e5-small. Raises EmbedderUnavailable or
    IndexUnavailable.
    """
    made_by = embedder(generation.embedder)
    neutral = neutral_for(made_by)
    questions = [neutral.question(made_by.embed_query(text)) for some in off_topic().values() for text in some]

    async def best() -> list[float]:
        found = []
        for at in range(0, len(questions), 8):
            some = questions[at : at + 8]
            near = await asyncio.gather(*(index.query_vectors(generation.collection, one, NEAREST) for one in some))
            found += [
                float(neutral.cosines(one, vectors).max())
                for one, (_, vectors) in zip(some, near, strict=True)
                if len(vectors)
            ]
        return found

    return from_off_topic(generation.embedder, run(best()))


def from_off_topic(embedder_id: str, cosines: Sequence[float]) -> dict[str, float]:
    """Thresholds from the best cosine of each off-topic question; {} of none."""
    if not cosines:
        return {}
    found = [float(value) for value in np.quantile(np.asarray(cosines), (OFF_TOPIC_BELOW, FAIRLY))]
    if embedder_id in COSINES:
        known = COSINES[embedder_id]
        found = [
            min(max(value, middle - MOST_MOVED), middle + MOST_MOVED)
            for value, middle in zip(found, known, strict=True)
        ]
    return {"near": round(found[0], 4), "fairly": round(found[1], 4), "questions": float(len(cosines))}
