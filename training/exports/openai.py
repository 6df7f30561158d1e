"""One example a line for OpenAI's fine-tuning: `{"messages": [system, user, assistant]}`, each checked by its rules."""

from __future__ import annotations

import orjson

from ..filters import TurnFilter
from .openai_rules import examine
from .rows import asked, batches, plain_id
from .tally import Lines, Tally


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    for batch in batches(wanted):
        tally.read += len(batch)
        for row, shown in zip(batch, asked(batch), strict=True):
            messages = [
                {"role": "system", "content": shown.system},
                {"role": "user", "content": shown.user},
                {"role": "assistant", "content": shown.answer},
            ]
            found = examine(messages)
            if found.problem:
                tally.left_out[found.problem] += 1
                continue
            tally.example(found.tokens)
            yield orjson.dumps({"messages": messages}), [plain_id(row.id)]
