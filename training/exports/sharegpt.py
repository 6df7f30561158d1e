"""ShareGPT: one unbroken piece of a conversation a line, `{"id", "conversations": [{"from", "value"}, …]}`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import orjson

from ..filters import TurnFilter
from .rows import Asked, Row, asked, batches, plain_id
from .tally import Line, Lines, Tally

Pair = tuple[Row, Asked]


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    rows = (pair for batch in batches(wanted) for pair in zip(batch, asked(batch), strict=True))
    for _conversation, turns in groupby(rows, key=lambda pair: pair[0].conversation):
        for piece in _pieces(_best(turns, tally)):
            yield _line(piece)


def _best(turns: Iterator[Pair], tally: Tally) -> Iterator[Pair]:
    """One answer to each question: the best rated, of those the last."""
    for _position, siblings in groupby(turns, key=lambda pair: pair[0].position):
        some = list(siblings)
        tally.read += len(some)
        tally.left_out["sibling"] += len(some) - 1
        yield max(some, key=lambda pair: (pair[0].rating or 0, pair[0].created))


def _pieces(turns: Iterator[Pair]) -> Iterator[list[Pair]]:
    """Cut where a turn is missing: nobody is taught to answer what was not asked."""
    piece: list[Pair] = []
    for pair in turns:
        if piece and pair[0].position != piece[-1][0].position + 1:
            yield piece
            piece = []
        piece.append(pair)
    yield piece


def _line(piece: list[Pair]) -> Line:
    first = piece[0][0]
    said = [{"from": "system", "value": piece[0][1].system}]
    for _row, shown in piece:
        said += [{"from": "human", "value": shown.user}, {"from": "gpt", "value": shown.answer}]
    found = {"id": f"{plain_id(first.conversation)}-{first.position}", "conversations": said}
    return orjson.dumps(found), [plain_id(row.id) for row, _shown in piece]
