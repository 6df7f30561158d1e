"""Two answers to one prompt a line: `{"prompt": [messages], "chosen": [message], "rejected": [message]}`.

What a model was shown is on both sides byte for byte (pairs.py).
"""

from __future__ import annotations

from uuid import UUID

import orjson

from coach.preferences import Pair

from ..filters import TurnFilter
from .openai_rules import Examined, examine
from .pairs import Question, questions
from .tally import Lines, Tally


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    for question in questions(wanted):
        tally.read += len(question.turns)
        yield from _of_question(question, tally)


def _of_question(question: Question, tally: Tally) -> Lines:
    """Each turn is named once, with the first line that it is in."""
    used: set[UUID] = set()
    problem = question.problem
    for pair in question.pairs:
        found = _examined(pair)
        if found.problem:
            problem = found.problem
            continue
        tally.example(found.tokens)
        new = {pair.chosen_turn, pair.rejected_turn} - used
        used |= new
        yield _line(pair), sorted(map(str, new))
    tally.left_out[problem] += len(set(question.turns) - used)
    for turn, reason in question.beside:
        tally.left_out[reason] -= turn in used  # the filter had counted it as left out


def _examined(pair: Pair) -> Examined:
    """Of the longer of the two; a problem of either."""
    prompt = [{"role": message.role, "content": message.content} for message in pair.prompt]
    both = [examine([*prompt, {"role": "assistant", "content": text}]) for text in (pair.chosen, pair.rejected)]
    return next((one for one in both if one.problem), max(both, key=lambda one: one.tokens))


def _line(pair: Pair) -> bytes:
    return orjson.dumps(
        {
            "prompt": [{"role": message.role, "content": message.content} for message in pair.prompt],
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
        }
    )
