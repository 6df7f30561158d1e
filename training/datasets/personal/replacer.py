"""Replaces personal data; the same thing has the same name in all of a conversation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from django.utils.translation import gettext_lazy, gettext_noop

from . import names, structured
from .spans import Span, apart, plain

# In every report of a data set; English, translated where it is shown.
LIMITS = gettext_noop(
    "Mail addresses, links with a user's name, account and card numbers, national ids, telephone numbers, IP and "
    "postal addresses are found by their form. Names are found by introductions, relations, titles and a list of "
    "common first names: rare names, nicknames and names in small letters stay. Read each example before you approve "
    "it."
)
# What was replaced, as pages call it.
KINDS = {
    "account": gettext_lazy("bank accounts"),
    "address": gettext_lazy("postal addresses"),
    "card": gettext_lazy("cards"),
    "handle": gettext_lazy("user names"),
    "id": gettext_lazy("national ids"),
    "ip": gettext_lazy("IP addresses"),
    "mail": gettext_lazy("mail addresses"),
    "name": gettext_lazy("names"),
    "number": gettext_lazy("long numbers"),
    "phone": gettext_lazy("telephone numbers"),
    "url": gettext_lazy("links"),
}
# A source of the prompt, "[3] …": from the knowledge, where the names of authors belong.
_SOURCE = re.compile(r"^\[\d+\] ")


class Replacer:
    """For one conversation: `learn` all of its texts, then `replace` them."""

    def __init__(self) -> None:
        self._labels: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._people: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, texts: Iterable[str], public: str = "") -> None:
        """Remember who is named in them, so that "Karin" is known before and after "my boss Karin Svensson".

        Who is named in `public`, the sources that were shown, is an author and no private person.
        """
        for text in texts:
            for name in names.found_in(plain(text)):
                if name in public:
                    continue
                label = next((self._people[part] for part in names.parts(name) if part in self._people), "")
                label = label or self._label("name", name)
                for part in names.parts(name):
                    self._people.setdefault(part, label)
        self._pattern = _any_of(self._people)

    def replace(self, text: str, counts: Counter[str]) -> str:
        """The text without personal data; `counts` says how many of each kind were replaced. Names of sources stay."""
        lines = text.split("\n")
        # An address may go over two lines, so forms are looked for in the whole text and names in its lines.
        found = apart([*structured.find(text), *self._names(lines)])
        pieces: list[str] = []
        at = 0
        for span in found:
            counts[span.kind] += 1
            pieces += (text[at : span.start], self._name_of(span.kind, text[span.start : span.end]))
            at = span.end
        return "".join((*pieces, text[at:]))

    def _names(self, lines: Iterable[str]) -> Iterable[Span]:
        at = 0
        for line in lines:
            if self._pattern is not None and not _SOURCE.match(line):
                for match in self._pattern.finditer(plain(line)):
                    yield Span(at + match.start(), at + match.end(), "name")
            at += len(line) + 1

    def _name_of(self, kind: str, text: str) -> str:
        return self._people[plain(text)] if kind == "name" else self._label(kind, text)

    def _label(self, kind: str, text: str) -> str:
        key = (kind, re.sub(r"[\s().-]", "", plain(text)).casefold())
        if key not in self._labels:
            self._numbers[kind] += 1
            self._labels[key] = f"[{kind.upper()}_{self._numbers[kind]}]"
        return self._labels[key]


def _any_of(people: Iterable[str]) -> re.Pattern[str] | None:
    """Longest first. Latin names end where the word ends, or before a genitive; Korean particles may follow."""
    latin: list[str] = []
    korean: list[str] = []
    for name in sorted(people, key=len, reverse=True):
        (korean if re.match(r"[가-힣]", name) else latin).append(re.escape(name))
    some = []
    if latin:
        some.append(rf"(?<![\w-])(?:{'|'.join(latin)})(?=s?(?!\w))")
    if korean:
        some.append(rf"(?<![가-힣])(?:{'|'.join(korean)})")
    return re.compile("|".join(some)) if some else None
