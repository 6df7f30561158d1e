"""From a loaded document to passages: pure functions, no database.

A passage follows the document: it never crosses a heading, ends at a paragraph if it can, else at a sentence
(also a Korean one), and never inside a word. Its length is balanced: a section a little longer than one passage
becomes two of the same size, not one and a crumb.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .loaders.types import Block, LoadedDocument

# In tokens of the embedder: a language model on two cores reads at most a few hundred fresh tokens per turn.
# Other lengths were not compared.
TARGET_TOKENS = 200
MAX_TOKENS = 240
# A page's last lines with fewer tokens than this join the page before.
CRUMB_TOKENS = 60
# Nothing of this length is a word: encoded data, or a script without blanks between words.
LONGEST_WORD = 200

# A reference list names the topic of everything around it and answers nothing: it stays in the document
# but is no passage.
# fmt: off
REFERENCE_HEADINGS = frozenset((
    "sources", "references", "bibliography", "källor", "referenser", "litteratur", "källförteckning",
    "kilder", "referanser", "litteraturliste", "출처", "참고문헌", "참고자료", "참고 문헌", "참고 자료",
))
# fmt: on

_SENTENCE_END = re.compile(r"""[.!?…。！？]+["'”’»)\]]*\s+(?=["'“‘«(\[]?[^\W_])""")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:dr|prof|mr|mrs|ms|st|nr|no|kl|ca|jf|jfr|vs|fig|e\.g|i\.e|t\.ex|bl\.a|f\.eks|dvs|d\.v\.s|etc|resp|s|p|pp|[a-zåäöæø])\.\s+$",
    re.I,
)
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t])")

# Another rule gets another number: chunks of different rules never mix.
RULE = "structure-1"

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A passage to be: `text == document.text[start:end]`; `tokens` as the embedder counts them."""

    start: int
    end: int
    text: str
    headings: tuple[str, ...]
    page: int | None
    tokens: int


def splitter_id(embedder_id: str) -> str:
    """The name of this way of cutting: its rule, its length, and whose tokens it counts."""
    return f"{RULE}-{TARGET_TOKENS}:{embedder_id}"


def passage_text(title: str, headings: Sequence[str], text: str) -> str:
    """What is embedded and indexed for a passage: it must be found by the words above it, too."""
    return "\n".join(part for part in (title, " › ".join(headings), text) if part)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or a part of a long one; `closes` when a paragraph ends with it."""

    start: int
    end: int
    tokens: int
    closes: bool = False


def split(document: LoadedDocument, count_tokens: CountTokens) -> list[ChunkDraft]:
    """The passages of a document in order, at least one if it has a block."""
    fixed = count_tokens("")
    drafts: list[ChunkDraft] = []
    blocks = [block for block in document.blocks if not _is_reference(block)] or list(document.blocks)
    for section in _sections(document.text, blocks):
        units = [unit for block in section for unit in _units(document.text, block, count_tokens, fixed)]
        for group in _pack(units):
            start, end = group[0].start, group[-1].end
            text = document.text[start:end]
            drafts.append(ChunkDraft(start, end, text, section[0].headings, section[0].page, count_tokens(text)))
    return _join_crumbs(document.text, drafts, count_tokens)


def _is_reference(block: Block) -> bool:
    return any(heading.strip(" :").lower() in REFERENCE_HEADINGS for heading in block.headings)


def _sections(text: str, blocks: Iterable[Block]) -> list[list[Block]]:
    """Neighbouring blocks under the same heading and on the same page."""
    sections: list[list[Block]] = []
    for block in blocks:
        last = sections[-1][-1] if sections else None
        same = last is not None and (last.headings, last.page) == (block.headings, block.page)
        # Two headings may read the same; then the second one stands between the blocks.
        if last is not None and same and not text[last.end : block.start].strip():
            sections[-1].append(block)
        else:
            sections.append([block])
    return sections


def _units(text: str, block: Block, count_tokens: CountTokens, fixed: int) -> list[_Unit]:
    units: list[_Unit] = []
    for start, end in _spans(text, block.start, block.end, _PARAGRAPH_END):
        for first, last in _sentences(text, start, end):
            tokens = max(1, count_tokens(text[first:last]) - fixed)
            if tokens <= TARGET_TOKENS:
                units.append(_Unit(first, last, tokens))
            else:
                units.extend(_cut(text, first, last, tokens))
        if units:
            units[-1] = replace(units[-1], closes=True)
    return units


def _spans(text: str, start: int, end: int, separator: re.Pattern[str]) -> list[tuple[int, int]]:
    """The stretches between matches, without blanks around them; what the match shows of them is kept."""
    spans = []
    at = start
    for match in separator.finditer(text, start, end):
        spans.append(_trim(text, at, match.end()))
        at = match.end()
    spans.append(_trim(text, at, end))
    return [span for span in spans if span[0] < span[1]]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    at = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if text[match.end()].islower() or _ABBREVIATION.search(text[max(at, match.end() - 16) : match.end()]):
            continue
        spans.append(_trim(text, at, match.end()))
        at = match.end()
    spans.append(_trim(text, at, end))
    return [span for span in spans if span[0] < span[1]]


def _cut(text: str, start: int, end: int, tokens: int) -> list[_Unit]:
    """A long sentence in parts of about the target's size, cut between words."""
    size = max(LONGEST_WORD, (end - start) * TARGET_TOKENS // tokens)
    per_character = tokens / (end - start)
    units = []
    at = start
    for match in re.finditer(rf"\S{{1,{LONGEST_WORD}}}", text[start:end]):
        if start + match.end() - at > size and start + match.start() > at:
            first, last = _trim(text, at, start + match.start())
            units.append(_Unit(first, last, max(1, round((last - first) * per_character))))
            at = start + match.start()
    first, last = _trim(text, at, end)
    units.append(_Unit(first, last, max(1, round((last - first) * per_character))))
    return units


def _pack(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Groups of about equal size, each at most MAX_TOKENS unless a single unit is larger."""
    total = sum(unit.tokens for unit in units)
    if total <= MAX_TOKENS:
        return [list(units)] if units else []
    goal = total / -(-total // TARGET_TOKENS)
    groups: list[list[_Unit]] = []
    group: list[_Unit] = []
    size = 0
    for unit in units:
        # Half of what comes next must fit below the goal; after a paragraph a fifth less is enough to stop.
        near = group and size >= goal * (0.8 if group[-1].closes else 1) - unit.tokens / 2
        if group and (near or size + unit.tokens > MAX_TOKENS):
            groups.append(group)
            group, size = [], 0
        group.append(unit)
        size += unit.tokens
    groups.append(group)
    return groups


def _join_crumbs(text: str, drafts: Sequence[ChunkDraft], count_tokens: CountTokens) -> list[ChunkDraft]:
    """A crumb joins the passage before it under the same headings, be it on the page before."""
    joined: list[ChunkDraft] = []
    for draft in drafts:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.headings == draft.headings
            and not text[last.end : draft.start].strip()
            and min(last.tokens, draft.tokens) < CRUMB_TOKENS
            and last.tokens + draft.tokens <= MAX_TOKENS
        ):
            whole = text[last.start : draft.end]
            joined[-1] = replace(last, end=draft.end, text=whole, tokens=count_tokens(whole))
        else:
            joined.append(draft)
    return joined
