"""A judge model (COACH_JUDGE) chooses between the two answers, twice, with the answers in turned order.

Language models prefer what they read first (Zheng et al. 2023), so only what it says both times counts (preference.py).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from llm.cloud import cloud_models
from llm.errors import LanguageModelError
from llm.loops import run as run_async
from llm.registry import parse_models
from llm.structured import ask_json
from llm.types import Account, ChatRequest, Message, ModelId
from training.models import AnswerPair, Choice, Comparison

from .asking import PATIENT, PURPOSE
from .questions import EXAMPLE, said_before

log = logging.getLogger(__name__)

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 300}, "better": {"enum": ["A", "B", "tie"]}},
    "required": ["better"],
    "additionalProperties": False,
}
_PROMPT = Path(__file__).parent / "judge.txt"
_TOKENS = 300
UNCLEAR = "none"  # it gave no judgement: it is not asked this again, and it counts for nobody


def configured() -> ModelId | None:
    """The model of COACH_JUDGE, None without one. Raises UnknownModel."""
    found = parse_models(settings.COACH_JUDGE)
    return found[0] if found else None


def judged(comparison: Comparison) -> int:
    """Pairs of a comparison that a judge has seen both ways."""
    rows = comparison.pairs.annotate(seen=Count("choices", filter=~Q(choices__judge="")))
    return rows.filter(seen__gte=2).count()


def choose_next(comparison: Comparison, model: ModelId, *, cloud: bool) -> bool:
    """Judge one more pair, both ways round; False when none is left. Held-out examples stay here unless `cloud`."""
    rows = comparison.pairs.exclude(first_answer="").exclude(second_answer="")
    if cloud_models(str(model)) and not cloud:
        rows = rows.exclude(figures__kind=EXAMPLE)
    seen = Choice.objects.filter(pair__comparison=comparison, judge=str(model)).values_list("pair", "swapped")
    done = set(seen)
    for pair in rows.order_by("pk"):
        missing = [swapped for swapped in (False, True) if (pair.pk, swapped) not in done]
        if missing:
            for swapped in missing:
                _choose(pair, model, swapped=swapped)
            return True
    return False


def _choose(pair: AnswerPair, model: ModelId, *, swapped: bool) -> None:
    answers = (pair.second_answer, pair.first_answer) if swapped else (pair.first_answer, pair.second_answer)
    text = _PROMPT.read_text(encoding="utf-8").format(
        context=_context(pair), question=pair.question, first=answers[0], second=answers[1]
    )
    request = ChatRequest(
        messages=[Message("user", text)],
        max_tokens=_TOKENS,
        temperature=0.0,
        language=pair.language,
        account=Account(purpose=PURPOSE),
    )
    chosen = UNCLEAR
    try:
        said: dict[str, Any] = run_async(ask_json(request, SCHEMA, [model], PATIENT))
        names = {"A": "second" if swapped else "first", "B": "first" if swapped else "second", "tie": "tie"}
        chosen = names[said["better"]]
    except LanguageModelError as error:
        log.warning("the judge %s gave no judgement: %s", model, error)
    Choice.objects.get_or_create(pair=pair, judge=str(model), swapped=swapped, defaults={"chosen": chosen})


def _context(pair: AnswerPair) -> str:
    """What the models were shown with the question, sources and all, and what was said before."""
    last = str(pair.prompt[-1]["content"]) if pair.prompt else pair.question
    return "\n\n".join([*(f"{role}: {text}" for role, text in said_before(pair, sources=True)), last])
