"""A turn answered again: on another model, with another prompt, or with another search in the live index.

Nothing of it is stored with the coachee's conversation, and no limit of the coachee counts it. It reads what the
turn's model was shown (provenance.py), so without a change the model gets the very same bytes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.utils.translation import gettext as _

from knowledge import retrieval
from knowledge.models import KnowledgeBase
from llm import endpoints, policy, switcher
from llm.embedded import shown_name
from llm.errors import LanguageModelError
from llm.types import Account, ChatRequest, Chosen, FellBack, Message, ModelId, Quote, Token, Usage
from llm.types import Finished as StreamFinished

from . import grounding, prompting
from .asking import ANSWER_TOKENS
from .draft import Draft, shown
from .models import Turn
from .numbering import newly_shown, number_sources
from .provenance import PromptDamaged, StoredPrompt, stored_prompt
from .questions import about_conversation, standalone
from .selectors import KnownSource, TurnContext, turn_context
from .turn import PASSAGES, fresh_tokens, may_be_asked

OWN_BASES = "*"
# Nobody waits before a conversation: a machine that is busy with those may take its time.
PATIENT = switcher.Limits(first_token=60.0, stall=60.0)
Written = Callable[[str], Awaitable[None]]


class ReplayFailed(Exception):
    """One plain sentence."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; '' leaves it as it was.

    model   as COACH_MODELS names them; '' those the coach has now
    prompt  takes the place of the opening
    search  '*' searches again in the coach's knowledge bases, else the short name of a base
    """

    model: str = ""
    prompt: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """exact: the history was byte for byte what the turn's model had seen. sources: n, title, location, text, chunk."""

    answer: str
    model: str
    place: str
    exact: bool
    sources: tuple[dict[str, Any], ...]
    citations: tuple[int, ...]
    seconds: float
    usage: Usage
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """What is read of a turn at once."""

    turn: Turn
    stored: StoredPrompt
    context: TurnContext
    bases: tuple[int, ...]


async def replay(turn_id: UUID, change: Change, written: Written | None = None) -> Replayed:
    """`written` gets the text so far, again and again. Raises Turn.DoesNotExist and ReplayFailed."""
    told = await database_sync_to_async(_read)(turn_id, change)
    models = await database_sync_to_async(_models)(told, change)
    messages = told.stored.messages
    if change.prompt:
        messages = (Message("system", change.prompt), *messages[told.stored.opening :])
    sources = _sources_then(told)
    if change.search:
        messages, sources = await _searched(told, messages, models)
    sampling = told.turn.provenance.get("sampling", {})
    request = ChatRequest(
        messages=messages,
        max_tokens=sampling.get("max_tokens", ANSWER_TOKENS),
        temperature=sampling.get("temperature", ChatRequest(()).temperature),
        private=told.context.private,
        language=told.turn.language,
        quotes=tuple(Quote(source.n, source.title, source.excerpt) for source in sources),
        account=Account(purpose="replay", coach=told.context.coach),
    )
    return await _answered(told, request, models, sources, written)


def _read(turn_id: UUID, change: Change) -> _Told:
    turn = Turn.objects.select_related("conversation__coach").get(pk=turn_id)
    try:
        stored = stored_prompt(turn)
    except PromptDamaged as error:
        raise ReplayFailed(str(error)) from error
    context = turn_context(turn_id)
    bases = context.bases
    if change.search not in ("", OWN_BASES):
        found = KnowledgeBase.objects.filter(slug=change.search).values_list("pk", flat=True)
        if not found:
            raise ReplayFailed(_("There is no knowledge base “%(slug)s”.") % {"slug": change.search})
        bases = tuple(found)
    return _Told(turn, stored, context, bases)


def _models(told: _Told, change: Change) -> list[ModelId]:
    try:
        named = (
            endpoints.checked_models(change.model)
            if change.model
            else policy.resolve(
                told.context.language_models, coach=told.context.coach, conversation=told.context.conversation
            )
        )
    except LanguageModelError as error:
        raise ReplayFailed(str(error)) from error
    models = may_be_asked(named, private=told.context.private)
    if not models:
        raise ReplayFailed(_("This conversation is private: only models on this machine may see it."))
    return models


def _sources_then(told: _Told) -> list[KnownSource]:
    by_number = {source.n: source for source in told.context.sources}
    return [by_number[entry["n"]] for entry in told.turn.sources if entry["n"] in by_number]


async def _searched(
    told: _Told, messages: Sequence[Message], models: Sequence[ModelId]
) -> tuple[tuple[Message, ...], list[KnownSource]]:
    """The prompt with what the live index gives for this question today, and these sources."""
    turn, draft = told.turn, Draft()
    found = await retrieval.search(
        standalone(turn.question, told.context.past),
        bases=told.bases,
        k=PASSAGES,
        language=turn.language,
        private=told.context.private,
    )
    if found.covered:
        context = replace(told.context, sibling_sources=())
        number_sources(context, draft, found.passages, fresh_tokens(models, turn.language))
    text = prompting.user_text(
        question=turn.question,
        language=turn.language,
        grounded=bool(draft.sources) or about_conversation(turn.question, turn.language),
        sources=newly_shown(told.context, draft),
    )
    return (*messages[:-1], Message("user", text)), draft.sources


async def _answered(
    told: _Told,
    request: ChatRequest,
    models: Sequence[ModelId],
    sources: Sequence[KnownSource],
    written: Written | None,
) -> Replayed:
    text, chosen, usage, started = "", None, Usage(), time.perf_counter()
    try:
        async with contextlib.aclosing(switcher.stream(request, models, PATIENT)) as events:
            async for event in events:
                if isinstance(event, Token):
                    text += event.text
                    if written is not None:
                        await written(text)
                elif isinstance(event, Chosen):
                    chosen = event
                elif isinstance(event, FellBack):
                    text = ""
                elif isinstance(event, StreamFinished):
                    usage = event.usage
    except LanguageModelError as error:
        raise ReplayFailed(str(error.__cause__ or error)) from error
    assert chosen is not None  # noqa: S101 - a stream without an error had a model
    guided = chosen.model.provider == "guided"
    result = grounding.check(text, [shown(source) for source in sources], complete=not guided)
    return Replayed(
        answer=result.answer,
        model=shown_name(chosen.model),
        place=chosen.place.value,
        exact=told.stored.exact,
        sources=tuple(source_row(source) for source in sources),
        citations=result.citations,
        seconds=round(time.perf_counter() - started, 2),
        usage=usage,
        messages=tuple(request.messages),
    )


def source_row(source: KnownSource) -> dict[str, Any]:
    """A source as replays keep it."""
    return {
        "n": source.n,
        "chunk": source.chunk,
        "title": source.title,
        "location": source.location,
        "text": source.excerpt,
    }
