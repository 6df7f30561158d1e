"""What both models are asked: the held-out examples of a data set, and our own suite (suite/*.toml)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from coach import prompting
from coach.prompting import NumberedSource, PastTurn
from llm.types import Message
from training.evaluation import wording
from training.models import AnswerPair, DataSet, Example

SUITE = Path(__file__).parent / "suite"
LANGUAGES = ("en", "sv", "nb", "ko")
MODE = "personal"
KINDS = ("coaching", "sources", "unanswerable", "language", "safety")
EXAMPLE = "example"
_SOURCE_LINE = re.compile(r"^\[(\d+)\] (.+)$", re.MULTILINE)
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a comparison.

    key        stable within a comparison: `suite/en/habit-weeks`, `example/17`
    messages   the whole prompt, as the coach would send it
    answers    known answers; one of them must stand in the answer
    right      numbers of the sources that answer it; () when none is to be cited
    reference  of a held-out example: the answer that people approved
    """

    key: str
    kind: str
    language: str
    question: str
    messages: tuple[Message, ...]
    sources: tuple[NumberedSource, ...] = ()
    answers: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    reference: str = ""


def items(*, dataset: DataSet | None, held_out: int, suite: int, languages: Sequence[str], seed: int) -> list[Item]:
    """At most `held_out` examples and `suite` questions a language; the same ones for the same seed, in one order."""
    found = [item for language in languages for item in _some_of_suite(language, suite)]
    return [*found, *(_examples(dataset, held_out, seed) if dataset and held_out else ())]


@cache
def suite(language: str) -> tuple[Item, ...]:
    """All questions of a language, as the coach would ask them."""
    data = tomllib.loads((SUITE / f"{language}.toml").read_text(encoding="utf-8"))
    return tuple(_suite_item(language, entry) for entry in data["question"])


def _some_of_suite(language: str, most: int) -> list[Item]:
    """Kind after kind in turn, so that a short run has some of each; safety first."""
    by_kind = {kind: [item for item in suite(language) if item.kind == kind] for kind in reversed(KINDS)}
    rounds = max((len(group) for group in by_kind.values()), default=0)
    turn_by_turn = [group[at] for at in range(rounds) for group in by_kind.values() if at < len(group)]
    return turn_by_turn[:most]


def _suite_item(language: str, entry: Mapping[str, Any]) -> Item:
    sources = tuple(NumberedSource(n, "", text) for n, text in enumerate(entry.get("sources", ()), 1))
    now = PastTurn(0, entry["text"], "", language, grounded=bool(sources), sources=sources)
    prompt = prompting.build(
        opening=prompting.opening(MODE, language),
        past=(),
        now=now,
        sources_from=0,
        context_tokens=1_000_000,
        answer_tokens=0,
    )
    return Item(
        key=f"suite/{language}/{entry['id']}",
        kind=entry["kind"],
        language=language,
        question=entry["text"],
        messages=prompt.messages,
        sources=sources,
        answers=tuple(entry.get("answer", ())),
        right=tuple(entry.get("right", ())),
    )


def _examples(dataset: DataSet, most: int, seed: int) -> list[Item]:
    rows = dataset.examples.filter(split=Example.Split.HELD_OUT, state=Example.State.APPROVED)
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    if len(keys) > most:
        keys = sorted(Random(seed).sample(keys, most))  # noqa: S311 - a sample, no secret
    # The opening of a preference's prompt has sources of its own, which are nobody's.
    whole = dataset.kind == DataSet.Kind.ANSWERS
    return [_example_item(row, whole=whole) for row in rows.filter(pk__in=keys).order_by("pk")]


def _example_item(row: Example, *, whole: bool) -> Item:
    """whole: sources shown earlier in the conversation count too."""
    messages = tuple(Message(one["role"], one["content"]) for one in row.prompt)
    last = messages[-1].content if messages else ""
    asked = "\n".join(one.content for one in messages if one.role == "user") if whole else last
    sources = tuple(NumberedSource(int(n), "", text) for n, text in _SOURCE_LINE.findall(asked))
    known = {source.n for source in sources}
    cited = tuple(dict.fromkeys(n for n in wording.citation_numbers(row.answer) if n in known))
    language = row.language or "en"
    return Item(
        key=f"{EXAMPLE}/{row.pk}",
        kind=EXAMPLE,
        language=language,
        question=_question_in(last, language),
        messages=messages,
        sources=sources,
        right=cited,
        reference=row.answer,
    )


def said_before(pair: AnswerPair, *, sources: bool) -> list[tuple[str, str]]:
    """(role, text) of the conversation that the question of a held-out example goes on from; whole, or as it was said
    without the `sources` that were shown."""
    dataset = pair.comparison.dataset if pair.comparison else None
    if dataset is None or not dataset.filter.get("history") or pair.figures.get("kind") != EXAMPLE:
        return []
    said = [(one["role"], one["content"]) for one in pair.prompt[:-1] if one["role"] != "system"]
    plain = () if sources else ("user",)
    return [(role, _question_in(text, pair.language) if role in plain else text) for role, text in said]


def _question_in(text: str, language: str) -> str:
    """The question without the words the prompt puts around it."""
    begin = f"{prompting.label(language, 'question')} "
    found = [line.removeprefix(begin) for line in text.splitlines() if line.startswith(begin)]
    return (found[-1] if found else text)[:_LONGEST]
