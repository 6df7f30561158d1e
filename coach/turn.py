"""One turn, from the question to the stored answer. The only path: runner, commands and API use it.

    safety.screen → retrieval.search → prompting.build → llm stream → grounding.check → Outcome

`run_turn` touches no database: it gets a TurnContext and gives an Outcome; whoever calls it stores that.
Events go to `emit` as they happen (docs/protocol.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext, override

from knowledge import retrieval
from knowledge.choosing import worth_showing
from knowledge.types import SearchResult
from llm import first_words, moderation, policy
from llm.errors import LanguageModelError
from llm.health import prompt_speed, token_ratio
from llm.registry import language_model
from llm.types import (
    ChatRequest,
    ModelId,
    Place,
)

from . import asking, grounding, notices, prompting, provenance, safety
from .draft import Draft, notice, shown
from .models import Turn
from .numbering import number_sources
from .questions import about_conversation, asks_for_knowledge, standalone
from .selectors import OpenedConversation, TurnContext, source_data
from .services import Outcome
from .token_joiner import Emit, TokenJoiner

PASSAGES = 4
# Seconds of prompt reading a turn may cost, and its bounds in tokens (DESIGN.md, prompt economy). All that is new
# counts: the question and the words around it, too.
READ_SECONDS = 2.3
FRESH_TOKENS = (120, 1600)
SLOW_PROMPT_SPEED = 75.0  # tokens a second: the embedded model on two cores, until it is measured


async def run_turn(context: TurnContext, emit: Emit, stop: asyncio.Event | None = None) -> Outcome:
    """Answer one turn. Sends every event but the final one (`final_event`), which follows the commit.

    To stop: set `stop`, then cancel the task. The model stops with it and what was written is kept.
    """
    draft, started = Draft(sources_from=context.sources_from), time.perf_counter()
    with override(context.language):
        try:
            screening = safety.screen(context.question, context.language)
            if screening.level != "none":
                await notice(draft, emit, "safety", screening.message, card=screening.card)
                draft.safety = screening.level
            if screening.level == "acute":
                await emit("token", {"text": screening.reply})
                draft.answer = screening.reply
            else:
                await _answer(context, draft, emit, started)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stop is None or not stop.is_set() or task is None:
                raise
            task.uncancel()
            return _outcome(context, draft, Turn.State.STOPPED, **await _checked(context, draft, emit))
        except LanguageModelError as error:
            message = gettext("No language model could answer just now. Try again in a moment.")
            return _outcome(context, draft, Turn.State.FAILED, failure_code=error.code, failure=message)
        finally:
            draft.timings["total"] = time.perf_counter() - started
        return _outcome(context, draft, Turn.State.DONE, **await _checked(context, draft, emit))


def _outcome(context: TurnContext, draft: Draft, state: Turn.State, **extra: Any) -> Outcome:
    kept, new = provenance.kept(context, draft)
    return draft.outcome(state, provenance=kept, new_messages=new, **extra)


def final_event(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """The last event of a turn: `done`, `stopped` or `failed`."""
    if outcome.state == Turn.State.FAILED:
        return "failed", {"code": outcome.failure_code, "message": outcome.failure}
    data = {
        "answer": outcome.answer,
        "citations": list(outcome.citations),
        "unsupported": list(outcome.unsupported),
        "model": outcome.model,
        "place": outcome.place,
        "grounded": outcome.grounded,
        "usage": outcome.usage or {},
        "timings": outcome.timings or {},
    }
    return ("done" if outcome.state == Turn.State.DONE else "stopped"), data


async def _checked(context: TurnContext, draft: Draft, emit: Emit) -> dict[str, Any]:
    """The answer as it is kept. When nothing in it has a source, the coachee is told."""
    if draft.safety == "acute":
        return {}
    result = grounding.check(
        draft.answer,
        [shown(source) for source in draft.sources],
        question=context.question,
        language=context.language,
        complete=draft.model != "guided",  # it cites each quotation itself
    )
    if result.unsupported and not result.citations:
        draft.grounded = False
        await notice(draft, emit, "unsupported", notices.unsupported())
    unsupported = [list(span) for span in result.unsupported]
    return {"answer": result.answer, "citations": list(result.citations), "unsupported": unsupported}


async def _answer(context: TurnContext, draft: Draft, emit: Emit, started: float) -> None:
    with first_words.awaited():
        models = await asyncio.to_thread(  # it may ask whether Ollama runs
            policy.resolve, context.language_models, coach=context.coach, conversation=context.conversation
        )
        allowed = may_be_asked(models, private=_stays(context))
        if allowed != models and not context.private:
            await notice(draft, emit, "limit", context.allowance.message)
        models = allowed
        found = await _grounded(context, draft, emit, models, started)
    joiner = TokenJoiner(emit)
    try:
        if not found.covered and asks_for_knowledge(context.question, context.language):
            draft.answer = prompting.not_covered(context.language)
            joiner.add(draft.answer)
        await asking.stream(context, draft, emit, joiner, models, started)
        await joiner.flush()
    finally:
        await joiner.close()


async def _grounded(
    context: TurnContext, draft: Draft, emit: Emit, models: Sequence[ModelId], started: float
) -> SearchResult:
    """Search, judge, and show the sources that the model is given."""
    found, verdict = await asyncio.gather(
        _search(context, draft, started),
        moderation.moderate(context.question, context.language, private=_stays(context)),
    )
    await _judged(context, draft, emit, verdict)
    if found.degraded:
        await notice(draft, emit, found.degraded, notices.search(found.degraded))
    if found.unread:
        await notice(draft, emit, "reading", notices.still_reading(found.unread), documents=found.unread)
    if found.covered:
        draft.grounded = True
        # 'Can you say that more shortly?' is answered from what the conversation has; nothing new is read for it.
        about = about_conversation(context.question, context.language)
        known = {source.chunk for source in context.sources} if about else None
        worth = worth_showing(found.passages)
        passages = [passage for passage in worth if known is None or passage.chunk in known]
        number_sources(context, draft, passages, fresh_tokens(models, context.language))
    await emit("sources", {"sources": [source_data(s, draft.scores.get(s.n)) for s in draft.sources]})
    return found


def _stays(context: TurnContext) -> bool:
    """Whether nothing of this turn may leave the machine."""
    return context.private or not context.allowance.cloud


async def _judged(context: TurnContext, draft: Draft, emit: Emit, verdict: moderation.Verdict) -> None:
    """A judge that sees more than our own words shows the helplines, too; anything else is noted for the admin."""
    if not verdict.flagged or draft.safety:
        return
    draft.safety = "moderated"
    if "self_harm" in verdict.categories and verdict.by != moderation.WORDS:
        card = safety.elevated(context.language)
        await notice(draft, emit, "safety", card.message, card=card.card)
        draft.safety = card.level


async def warm(opened: OpenedConversation) -> None:
    """Have the preferred model read what the next prompt begins with, while the coachee thinks. Never raises
    for a model that is away: the turn itself will find out."""
    named = await asyncio.to_thread(
        policy.resolve, opened.language_models, coach=opened.coach, conversation=opened.conversation
    )
    models = may_be_asked(named, private=opened.private)
    opening = prompting.opening(opened.mode, opened.language, opened.coach_prompt)
    request = ChatRequest(
        messages=prompting.prefix(opening=opening, past=opened.past, sources_from=opened.sources_from),
        max_tokens=1,
        conversation=str(opened.conversation),
        language=opened.language,
        private=opened.private,
    )
    with contextlib.suppress(LanguageModelError):
        model = language_model(models[0])
        if model.place is Place.LOCAL:  # a cloud reads nothing before the coachee has asked
            await model.warm(request)


async def _search(context: TurnContext, draft: Draft, started: float) -> SearchResult:
    if not context.bases:
        return SearchResult(passages=(), covered=False)
    query = standalone(context.question, context.past)
    found = await retrieval.search(
        query, bases=context.bases, k=PASSAGES, language=context.language, private=context.private
    )
    draft.timings["retrieval"] = time.perf_counter() - started
    draft.generations = found.generations
    return found


def fresh_tokens(models: Sequence[ModelId], language: str) -> int:
    """How many new prompt tokens, as we estimate them, a turn may bring so that its first word comes soon.

    By the measured speed of the preferred model, and by what it makes of an estimated token in this language.
    """
    speed = prompt_speed(models[0]) if models else None
    if speed is None:
        speed = SLOW_PROMPT_SPEED if models and models[0].provider == "llamacpp" else 400.0
    ratio = token_ratio(models[0], language) if models else 1.0
    return int(min(max(speed * READ_SECONDS, FRESH_TOKENS[0]), FRESH_TOKENS[1]) / ratio)


def may_be_asked(models: list[ModelId], *, private: bool) -> list[ModelId]:
    """What is private stays on this machine; guided mode, the last of the list, always does."""
    return [model for model in models if _is_local(model)] if private else models


def _is_local(model: ModelId) -> bool:
    try:
        return language_model(model).place is Place.LOCAL
    except LanguageModelError:
        return True  # it cannot be asked at all; the switcher says why
