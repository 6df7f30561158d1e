"""Where two passages say different things, by rule; and how that is noted until a language model has judged it."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from .passage_words import grams, negated, numbers, sentences, shared

# Of their words without numbers and "not": two sentences about the same.
SAME_SENTENCE = 0.4
LEAST_GRAMS = 12
NOTE = "#"  # begins a note that no language model has seen


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sentences about the same. kind: numbers, or not; `said` is what differs in each."""

    kind: str
    one: str
    other: str
    said: tuple[str, str] = ("", "")


def difference(one: str, other: str) -> Difference | None:
    """The most alike two sentences that differ in their numbers, a date, or a "not"; None when there are none."""
    mine, theirs = _read(one), _read(other)
    best: tuple[float, Difference] | None = None
    for first, words, counts, no in mine:
        for second, their_words, their_counts, their_no in theirs:
            alike = shared(words, their_words)
            if alike < SAME_SENTENCE or (best is not None and alike <= best[0]):
                continue
            if counts and their_counts and counts - their_counts and their_counts - counts:
                said = _listed(counts - their_counts), _listed(their_counts - counts)
                best = alike, Difference("numbers", first, second, said)
            elif no != their_no:
                best = alike, Difference("not", first, second)
    return best[1] if best else None


def rule_note(found: Difference) -> str:
    return f"{NOTE}{found.kind} {' / '.join(found.said)}".strip()


def judged(note: str) -> bool:
    return not note.startswith(NOTE)


def note_text(note: str) -> str:
    """A note for people, in the active language."""
    if judged(note):
        return note
    kind, _blank, said = note.removeprefix(NOTE).partition(" ")
    if kind == "numbers":
        return _("Different numbers in nearly the same sentence: %(said)s") % {"said": said}
    return _("Nearly the same sentence, once with a “not”.")


def _read(text: str) -> list[tuple[str, frozenset[str], frozenset[str], bool]]:
    """Sentences that say enough to be compared: (sentence, its words, its numbers, has a "not")."""
    found = []
    for sentence in sentences(text):
        words = frozenset(term for term in grams(sentence) if not any(sign.isdigit() for sign in term))
        if len(words) >= LEAST_GRAMS:
            found.append((sentence, words, numbers(sentence), negated(sentence)))
    return found


def _listed(found: frozenset[str]) -> str:
    return ", ".join(sorted(found)[:4])
