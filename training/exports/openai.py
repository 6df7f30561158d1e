"""One example a line for OpenAI's fine-tuning: `{"messages": [system, user, assistant]}`, each checked by its rules."""

from __future__ import annotations

from functools import lru_cache

import orjson

from ..filters import TurnFilter
from .openai_rules import answered
from .rows import asked, batches, plain_id
from .tally import Lines, Tally

_UNUSED = ("model", "created", "finished", "rating", "helpful", "reasons", "comment", "started", "coach")


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    for batch in batches(wanted, without=_UNUSED):
        tally.read += len(batch)
        for row, shown in zip(batch, asked(batch), strict=True):
            found = answered(shown.system, shown.user, shown.answer)
            if found.problem:
                tally.left_out[found.problem] += 1
                continue
            tally.example(found.tokens)
            user, answer = orjson.dumps(shown.user), orjson.dumps(shown.answer)
            yield b"%b%b%b%b%b" % (_begun(shown.system), user, _ANSWER, answer, _END), [plain_id(row.id)]


_ANSWER, _END = b'},{"role":"assistant","content":', b"}]}"


@lru_cache(maxsize=64)
def _begun(system: str) -> bytes:
    """A line up to the user's text: it is the same for all turns of a coach in a language."""
    return b'{"messages":[{"role":"system","content":%b},{"role":"user","content":' % orjson.dumps(system)
