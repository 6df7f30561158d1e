"""A document as its loader gave it, from what is stored: it can be cut again without its file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db.models import TextField
from django.db.models.functions import Cast

from .loaders.types import Block, LoadedDocument
from .models import Chunk, DocumentText


def pack(blocks: Sequence[Block]) -> dict[str, Any]:
    """For `DocumentText.blocks`: {"headings": [path, …], "blocks": [[start, end, number of its path, page], …]}."""
    numbers: dict[tuple[str, ...], int] = {}
    rows = [
        [block.start, block.end, numbers.setdefault(tuple(block.headings), len(numbers)), block.page]
        for block in blocks
    ]
    return {"headings": [list(path) for path in numbers], "blocks": rows}


def unpack(packed: dict[str, Any]) -> tuple[Block, ...]:
    """The opposite of `pack`."""
    paths = [tuple(path) for path in packed["headings"]]
    return tuple(Block(start, end, paths[path], page) for start, end, path, page in packed["blocks"])


def load(document_id: UUID) -> LoadedDocument | None:
    """None when its text was never stored. Its title is the document's own, so it has none here.

    Rows from before blocks were stored get them from their passages: neighbours under the same headings and on the
    same page are one block.
    """
    found = DocumentText.objects.filter(document=document_id).values_list("text", "blocks").first()
    if found is None:
        return None
    text, packed = found
    blocks = unpack(packed) if packed else _from_passages(document_id, text)
    return LoadedDocument("", text, blocks) if blocks else None


def pages_of(document_id: UUID, spans: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Of each stretch of the text, (start, end), the numbers of the pages that it has words on, in order.

    () where the format has no pages, and for rows from before blocks were stored.
    """
    # Of a book of 100,000 blocks the field's own decoder took 130 ms, this 40.
    raw = DocumentText.objects.filter(document=document_id).values_list(Cast("blocks", TextField()), flat=True).first()
    rows = orjson.loads(raw or "{}").get("blocks", [])
    starts = [row[0] for row in rows]
    found: list[tuple[int, ...]] = []
    for start, end in spans:
        some = rows[max(0, bisect_right(starts, start) - 1) : bisect_right(starts, end - 1)]
        found.append(tuple(sorted({page for _, last, _, page in some if page and last > start})))
    return found


def _from_passages(document_id: UUID, text: str) -> tuple[Block, ...]:
    whole = Chunk.objects.filter(document=document_id, position=0).order_by("splitting").first()
    if whole is None:
        return ()
    blocks: list[Block] = []
    rows = Chunk.objects.filter(document=document_id, splitting=whole.splitting_id).order_by("position")
    for start, end, headings, page in rows.values_list("start", "end", "headings", "page"):
        last = blocks[-1] if blocks else None
        path = tuple(headings)
        same = last is not None and (last.headings, last.page) == (path, page)
        if last is not None and same and not text[last.end : start].strip():
            blocks[-1] = Block(last.start, end, path, page)
        else:
            blocks.append(Block(start, end, path, page))
    return tuple(blocks)
