"""From turns to examples: what the model was shown and shall write, without personal data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from coach.models import Turn
from coach.prompting import label

from ..exports.history import Messages, before
from ..exports.openai_rules import examine
from ..exports.pairs import questions
from ..exports.rows import Asked, Row, asked, batches, plain_id
from ..filters import TurnFilter
from ..models import DataSet, Example
from .personal import Replacer

_SOURCE_LINE = re.compile(r"^\[\d+\] .*", re.MULTILINE)


@dataclass(slots=True)
class Made:
    """Examples of some conversations, not stored yet; left_out by reason, replaced by kind."""

    examples: list[Example] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    turns: int = 0


@dataclass(frozen=True, slots=True)
class _Draft:
    """Still with personal data."""

    turn: UUID
    conversation: UUID
    language: str
    prompt: Messages
    answer: str
    rejected: str = ""

    @property
    def said(self) -> tuple[str, ...]:
        """What people and models wrote, without the system's text and without sources."""
        own = [_SOURCE_LINE.sub("", message["content"]) for message in self.prompt if message["role"] != "system"]
        return (*own, self.answer, self.rejected)

    @property
    def sources(self) -> str:
        return "\n".join(line for message in self.prompt for line in _SOURCE_LINE.findall(message["content"]))


def make(dataset: DataSet, wanted: TurnFilter, conversations: Sequence[UUID]) -> Made:
    """All examples of these conversations."""
    made = Made()
    drafts = _pairs if dataset.kind == DataSet.Kind.PREFERENCES else _answers
    found = drafts(wanted, conversations, made)
    for _conversation, some in groupby(found, key=lambda draft: draft.conversation):
        _add(made, dataset, list(some))
    return made


def _answers(wanted: TurnFilter, conversations: Sequence[UUID], made: Made) -> Iterator[_Draft]:
    for batch in batches(wanted, conversations):
        made.turns += len(batch)
        examples = asked(batch)
        for row, shown, past in zip(batch, examples, before(batch, examples, wanted), strict=True):
            draft = _answer(row, shown, past)
            problem = _problem(draft, draft.answer)
            made.left_out[problem] += 1
            if not problem:
                yield draft


def _answer(row: Row, shown: Asked, past: Messages) -> _Draft:
    prompt = [{"role": "system", "content": shown.system}, *past, {"role": "user", "content": shown.user}]
    turn, conversation = UUID(plain_id(row.id)), UUID(plain_id(row.conversation))
    return _Draft(turn, conversation, row.language, prompt, shown.answer)


def _pairs(wanted: TurnFilter, conversations: Sequence[UUID], made: Made) -> Iterator[_Draft]:
    for question in questions(wanted, conversations):
        made.turns += len(question.turns)
        problem, used = question.problem, set()
        for pair in question.pairs:
            turn = Turn.objects.only("conversation_id", "language").get(pk=pair.chosen_turn)
            prompt = [{"role": message.role, "content": message.content} for message in pair.prompt]
            draft = _Draft(turn.pk, turn.conversation_id, turn.language, prompt, pair.chosen, pair.rejected)
            found = _problem(draft, pair.chosen, pair.rejected)
            if found:
                problem = found
                continue
            used |= {pair.chosen_turn, pair.rejected_turn}
            yield draft
        made.left_out[problem] += len(set(question.turns) - used)


def _problem(draft: _Draft, *answers: str) -> str:
    both = (examine([*draft.prompt, {"role": "assistant", "content": answer}]) for answer in answers)
    return next((found.problem for found in both if found.problem), "")


def _add(made: Made, dataset: DataSet, drafts: list[_Draft]) -> None:
    """Of one conversation, so that the same person has the same name in all of it."""
    replacer = Replacer()
    public = "\n".join(draft.sources for draft in drafts)
    replacer.learn((text for draft in drafts for text in draft.said), public)
    for draft in drafts:
        counts: Counter[str] = Counter()
        values: dict[str, Any] = {
            "prompt": [_without(message, replacer, counts) for message in draft.prompt],
            "answer": replacer.replace(draft.answer, counts),
            "rejected": replacer.replace(draft.rejected, counts),
        }
        made.replaced.update(counts)
        made.examples.append(
            Example(
                dataset=dataset,
                turn_id=draft.turn,
                conversation=draft.conversation,
                language=draft.language,
                replaced=dict(counts),
                **values,
            )
        )


def _without(message: dict[str, str], replacer: Replacer, counts: Counter[str]) -> dict[str, str]:
    """The system's text is the coach's own: nothing in it is personal."""
    if message["role"] == "system":
        return message
    return {"role": message["role"], "content": replacer.replace(message["content"], counts)}


def question_of(example: Example) -> str:
    """What the coachee asked last, without the sources and the words that stood around it."""
    said = str(example.prompt[-1]["content"]) if example.prompt else ""
    begin = f"{label(example.language, 'question')} "
    found = re.search(f"^{re.escape(begin)}", said, re.MULTILINE)
    asked_for = said[found.end() :] if found else said
    for name in ("answer_in", "in_language"):
        asked_for = asked_for.removesuffix(f"\n{label(example.language, name)}")
    return asked_for


def with_question(example: Example, text: str) -> str:
    """The last message with another question in it."""
    said, old = str(example.prompt[-1]["content"]), question_of(example)
    at = said.rindex(old)
    return said[:at] + text + said[at + len(old) :]
