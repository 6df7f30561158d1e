"""One example a line for OpenAI's fine-tuning: `{"messages": [system, user, assistant]}`, each checked by its rules.

With TurnFilter.history the conversation so far stands before the question; its answers have `"weight": 0`.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from ..filters import TurnFilter
from .history import Messages, before
from .openai_rules import Examined, answered, examine, not_learned
from .rows import Asked, asked, batches, plain_id
from .tally import Lines, Tally

_UNUSED = ("model", "created", "finished", "rating", "helpful", "reasons", "comment", "started", "coach")


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    for batch in batches(wanted, without=_UNUSED):
        tally.read += len(batch)
        examples = asked(batch)
        for row, shown, past in zip(batch, examples, before(batch, examples, wanted), strict=True):
            found = _examined(shown, past) if past else answered(shown.system, shown.user, shown.answer)
            if found.problem:
                tally.left_out[found.problem] += 1
                continue
            tally.example(found.tokens)
            user, answer = orjson.dumps(shown.user), orjson.dumps(shown.answer)
            begun = _talked(shown.system, past) if past else _begun(shown.system)
            yield b"%b%b%b%b%b" % (begun, user, _ANSWER, answer, _END), [plain_id(row.id)]


_QUESTION, _ANSWER, _END = b',{"role":"user","content":', b'},{"role":"assistant","content":', b"}]}"


@lru_cache(maxsize=64)
def _begun(system: str) -> bytes:
    """A line up to the user's text: it is the same for all turns of a coach in a language."""
    return _talked(system, [])


def _talked(system: str, past: Messages) -> bytes:
    said = [{"role": "system", "content": system}, *not_learned(past)]
    return orjson.dumps({"messages": said}).removesuffix(b"]}") + _QUESTION


def _examined(shown: Asked, past: Messages) -> Examined:
    said = [*not_learned(past), {"role": "user", "content": shown.user}]
    answer = {"role": "assistant", "content": shown.answer}
    return examine([{"role": "system", "content": shown.system}, *said, answer])
