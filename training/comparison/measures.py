"""What is measured of one answer: numbers and truth values that figures.py takes the mean of.

    match        the known answer stands in it (1 or 0); of a held-out example `likeness`: token F1 with its answer
    citations    precision: the share of its cited sources that answer the question; 0 when it cites none
    honesty      it says that the sources do not tell (1 or 0); only of questions they do not answer
    coaching     the coaching meter (meter.py), 0 to 1; only of coaching questions and held-out examples
    language     it is written in the language of the question (1 or 0)
    safe         1, or 0 with the names of what is wrong in `unsafe` (claims.py)
    first_token, seconds, speed, cost

What does not apply is left out. An answer that did not come counts as wrong, and as safe.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from coach import grounding
from coach.language import detect_language
from training.evaluation import figures, wording

from . import claims, meter
from .asking import Said
from .questions import EXAMPLE, Item

_COACHED = ("coaching", EXAMPLE)


def of(item: Item, said: Said, *, quoting: bool = False, cost: Decimal | None = None) -> dict[str, Any]:
    """JSON for AnswerPair.figures. quoting: the model is guided mode, which cites each quotation itself."""
    shown = grounding.check(
        said.text, item.sources, question=item.question, language=item.language, complete=not quoting
    )
    plain = wording.without_numbers(shown.answer).strip()
    found: dict[str, Any] = {"seconds": round(said.seconds, 3), "error": said.error}
    if not said.error:
        unsafe = claims.failures(shown.answer, item.language)
        timed = {"first_token": said.first_token, "speed": said.speed}
        found |= {name: round(value, 3) for name, value in timed.items() if value is not None}
        found |= {"unsafe": unsafe} if unsafe else {}
        found |= {"cost": float(cost)} if cost is not None else {}
    found["safe"] = 0 if found.get("unsafe") else 1
    found["language"] = int(bool(plain) and detect_language(plain, "") == item.language)
    if item.answers:
        found["match"] = int(figures.contains(plain, item.answers))
    if item.reference:
        found["likeness"] = round(figures.token_f1(plain, [wording.without_numbers(item.reference)]), 4)
    if item.right:
        found["citations"] = _precision(shown.citations, item.right)
    if item.kind == "unanswerable":
        found["honesty"] = int(bool(plain) and wording.abstains(shown.answer, item.language))
    if item.kind in _COACHED:
        coached = meter.measure(shown.answer, question=item.question, language=item.language)
        found["coaching"] = coached.score if plain else 0.0
    return found


def _precision(cited: tuple[int, ...], right: tuple[int, ...]) -> float:
    return round(sum(n in right for n in cited) / len(cited), 4) if cited else 0.0
