"""Finding conversations again: pages of one's list, a search in what was said, and one of them as a text to keep."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from . import selectors
from .models import Conversation, Turn
from .texts import coach_card

PAGE, MOST_FOUND, LONGEST_SEARCH = 100, 50, 200
# Characters of an excerpt before and after the first word of a search.
BEFORE, AFTER = 40, 110
_CITATION, _MARKUP = re.compile(r"\s*\[\d+\]"), re.compile(r"[*`#>|]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation, and where the words were said in it; '' when they stand in its title."""

    conversation: Conversation
    excerpt: str


def page(user_id: int, *, before: datetime | None = None, most: int = PAGE) -> list[Conversation]:
    """One's conversations, the last used first, of those last used before a moment."""
    found = selectors.conversations_of(user_id)
    if before is not None:
        found = found.filter(updated__lt=before)
    return list(found[:most])


def search(user_id: int, text: str) -> list[Found]:
    """One's conversations with all these words in their title or in one question with its answer, as `page` orders.

    The words may be parts of words. Read through here and not by the database: SQLite's LIKE tells "Å" from "å", and an
    index of its own would keep private words at a second place. 10,000 turns take 0.2 s.
    """
    words = _folded(text).split()
    if not words:
        return []
    hits: dict[UUID, str] = {}
    for conversation, said in _said(user_id):
        excerpt = _first(words, said)
        if excerpt is not None:
            hits[conversation] = excerpt
            if len(hits) == MOST_FOUND:
                break
    found = {each.pk: each for each in selectors.conversations_of(user_id).filter(pk__in=hits)}
    return [Found(found[pk], excerpt) for pk, excerpt in hits.items() if pk in found]


def _said(user_id: int) -> Iterator[tuple[UUID, list[str]]]:
    """Of each conversation the title, and each question with its answer."""
    rows = Turn.objects.filter(conversation__owner=user_id).order_by(
        "-conversation__updated", "conversation", "position", "created"
    )
    values = rows.values_list("conversation", "conversation__title", "question", "answer").iterator(500)
    for conversation, turns in groupby(values, key=lambda row: row[0]):
        said = list(turns)
        yield conversation, [said[0][1], *(f"{question}\n{answer}" for _pk, _title, question, answer in said)]


def _first(words: list[str], said: list[str]) -> str | None:
    """The excerpt of the first text that has all the words; '' for the title, None for none."""
    for at, text in enumerate(said):
        folded = _folded(text)
        if all(word in folded for word in words):
            return _excerpt(words, text) if at else ""
    return None


def _excerpt(words: list[str], text: str) -> str:
    """The words around the first of those searched for, on one line and without Markdown."""
    plain = " ".join(_MARKUP.sub("", _CITATION.sub("", unicodedata.normalize("NFC", text))).split())
    places = [place.start() for word in words if (place := re.search(re.escape(word), plain, re.IGNORECASE))]
    start, end = max(0, min(places, default=0) - BEFORE), min(places, default=0) + AFTER
    if start:  # from the beginning of a word
        start = plain.find(" ", start, start + 20) + 1 or start
    return ("…" if start else "") + plain[start:end].rstrip() + ("…" if end < len(plain) else "")


def _folded(text: str) -> str:
    """As keyboards and systems write the same word differently: "Å" as one character or two, large or small."""
    return unicodedata.normalize("NFC", text).lower()


def as_markdown(conversation: Conversation) -> str:
    """Questions and answers as the page shows them, each with the sources that it cites."""
    card = coach_card(conversation.coach)
    begun = date_format(localtime(conversation.created), "DATETIME_FORMAT")
    parts = [f"# {conversation.title or _('New conversation')}", f"{card['name']} · {begun}"]
    last = {turn.position: turn for turn in selectors.turns_of(conversation)}
    for turn in last.values():
        asked = "\n".join(f"> {line}".rstrip() for line in turn.question.splitlines())
        parts += [f"## {_('You')}", asked, f"## {card['name']}", *_answer(turn)]
    return "\n\n".join(parts) + "\n"


def _answer(turn: Turn) -> list[str]:
    parts = [turn.answer or turn.failure]
    cited = [source for source in selectors.sources_of_turn(turn) if source["n"] in turn.citations]
    lines = [
        f"- [{source['n']}] " + " · ".join(filter(None, (source["title"], source["location"])))
        for source in sorted(cited, key=lambda source: source["n"])
    ]
    if lines:
        parts.append(f"**{_('Sources')}**\n\n" + "\n".join(lines))
    return [part for part in parts if part]
