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
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext, override

from knowledge import retrieval
from knowledge.types import Passage, SearchResult
from llm import moderation, policy, switcher
from llm.embedded import shown_name
from llm.errors import LanguageModelError
from llm.health import prompt_speed
from llm.registry import language_model
from llm.tokens import estimate_tokens
from llm.types import (
    Account,
    ChatRequest,
    Chosen,
    FellBack,
    Finished,
    ModelId,
    Place,
    Quote,
    Shorter,
    Token,
    Trimmed,
    Usage,
)

from . import grounding, notices, prompting, safety
from .models import Turn
from .questions import is_question, standalone
from .selectors import KnownSource, OpenedConversation, TurnContext, source_data
from .services import NewSource, Outcome
from .token_joiner import Emit, TokenJoiner

ANSWER_TOKENS = 400
PASSAGES = 4
# Seconds of prompt reading a turn may cost, and its bounds in tokens (DESIGN.md, prompt economy).
READ_SECONDS = 2.6
FRESH_TOKENS = (140, 1600)
SLOW_PROMPT_SPEED = 75.0  # tokens a second: the embedded model on two cores, until it is measured
EXCERPT_LEAST = 45
SMALLEST_CONTEXT = 2048


@dataclass
class _Draft:
    """What has come together so far; becomes the Outcome."""

    sources: list[KnownSource] = field(default_factory=list)
    new: list[NewSource] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    grounded: bool = False
    answer: str = ""
    model: str = ""
    place: str = ""
    usage: Usage = field(default_factory=Usage)
    timings: dict[str, float] = field(default_factory=dict)
    safety: str = ""
    sources_from: int = 0
    shortened_from: int = 0  # the same in the shorter prompt that is being asked

    def outcome(self, state: Turn.State, **extra: Any) -> Outcome:
        return Outcome(
            state=state,
            sources=[{"n": source.n, "score": self.scores.get(source.n)} for source in self.sources],
            new_sources=self.new,
            notices=self.notices,
            grounded=self.grounded,
            model=self.model,
            place=self.place,
            usage={key: value for key, value in asdict(self.usage).items() if value is not None},
            timings={key: round(value, 4) for key, value in self.timings.items()},
            safety=self.safety,
            sources_from=self.sources_from,
            **{"answer": self.answer, **extra},
        )


async def run_turn(context: TurnContext, emit: Emit, stop: asyncio.Event | None = None) -> Outcome:
    """Answer one turn. Sends every event but the final one (`final_event`), which follows the commit.

    To stop: set `stop`, then cancel the task. The model stops with it and what was written is kept.
    """
    draft, started = _Draft(sources_from=context.sources_from), time.perf_counter()
    with override(context.language):
        try:
            screening = safety.screen(context.question, context.language)
            if screening.level != "none":
                await _notice(draft, emit, "safety", screening.message, card=screening.card)
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
            return draft.outcome(Turn.State.STOPPED, **_grounded(draft))
        except LanguageModelError as error:
            message = gettext("No language model could answer just now. Try again in a moment.")
            return draft.outcome(Turn.State.FAILED, failure_code=error.code, failure=message)
        finally:
            draft.timings["total"] = time.perf_counter() - started
    return draft.outcome(Turn.State.DONE, **_grounded(draft))


def final_event(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """The last event of a turn: `done`, `stopped` or `failed`."""
    if outcome.state == Turn.State.FAILED:
        return "failed", {"code": outcome.failure_code, "message": outcome.failure}
    data = {
        "answer": outcome.answer,
        "citations": list(outcome.citations),
        "model": outcome.model,
        "place": outcome.place,
        "grounded": outcome.grounded,
        "usage": outcome.usage or {},
        "timings": outcome.timings or {},
    }
    return ("done" if outcome.state == Turn.State.DONE else "stopped"), data


def _grounded(draft: _Draft) -> dict[str, Any]:
    if draft.safety == "acute":
        return {}
    quoting = draft.model == "guided"  # it cites each quotation itself
    result = grounding.check(draft.answer, [_shown(source) for source in draft.sources], complete=not quoting)
    return {"answer": result.answer, "citations": list(result.citations)}


async def _notice(draft: _Draft, emit: Emit, code: str, message: str, **extra: Any) -> None:
    notice = {"code": code, "message": message, **extra}
    draft.notices.append(notice)
    await emit("notice", notice)


async def _answer(context: TurnContext, draft: _Draft, emit: Emit, started: float) -> None:
    models = await asyncio.to_thread(policy.resolve, context.language_models)  # it may ask whether Ollama runs
    allowed = _allowed(models, private=_stays(context))
    if allowed != models and not context.private:
        await _notice(draft, emit, "limit", context.allowance.message)
    models = allowed
    found, verdict = await asyncio.gather(
        _search(context, draft, started),
        moderation.moderate(context.question, context.language, private=_stays(context)),
    )
    await _judged(context, draft, emit, verdict)
    if found.degraded:
        await _notice(draft, emit, found.degraded, notices.search(found.degraded))
    if found.covered:
        draft.grounded = True
        _number_sources(context, draft, found.passages, fresh_tokens(models))
    await emit("sources", {"sources": [source_data(s, draft.scores.get(s.n)) for s in draft.sources]})
    joiner = TokenJoiner(emit)
    try:
        if not found.covered and is_question(context.question):
            draft.answer = prompting.label(context.language, "not_covered") + "\n\n"
            joiner.add(draft.answer)
        await _stream(context, draft, emit, joiner, models, started)
        await joiner.flush()
    finally:
        await joiner.close()


def _stays(context: TurnContext) -> bool:
    """Whether nothing of this turn may leave the machine."""
    return context.private or not context.allowance.cloud


async def _judged(context: TurnContext, draft: _Draft, emit: Emit, verdict: moderation.Verdict) -> None:
    """A judge that sees more than our own words shows the helplines, too; anything else is noted for the admin."""
    if not verdict.flagged or draft.safety:
        return
    draft.safety = "moderated"
    if "self_harm" in verdict.categories and verdict.by != moderation.WORDS:
        card = safety.elevated(context.language)
        await _notice(draft, emit, "safety", card.message, card=card.card)
        draft.safety = card.level


async def warm(opened: OpenedConversation) -> None:
    """Have the preferred model read what the next prompt begins with, while the coachee thinks. Never raises
    for a model that is away: the turn itself will find out."""
    models = _allowed(await asyncio.to_thread(policy.resolve, opened.language_models), private=opened.private)
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


async def _search(context: TurnContext, draft: _Draft, started: float) -> SearchResult:
    if not context.bases:
        return SearchResult(passages=(), covered=False)
    query = standalone(context.question, context.past)
    found = await retrieval.search(
        query, bases=context.bases, k=PASSAGES, language=context.language, private=context.private
    )
    draft.timings["retrieval"] = time.perf_counter() - started
    return found


def fresh_tokens(models: Sequence[ModelId]) -> int:
    """How many new prompt tokens a turn may bring so that its first word comes soon, by measured speed."""
    speed = prompt_speed(models[0]) if models else None
    if speed is None:
        speed = SLOW_PROMPT_SPEED if models and models[0].provider == "llamacpp" else 400.0
    return int(min(max(speed * READ_SECONDS, FRESH_TOKENS[0]), FRESH_TOKENS[1]))


def _number_sources(context: TurnContext, draft: _Draft, passages: Sequence[Passage], budget: int) -> None:
    """Give each passage its number in the conversation; cut the new ones into the budget of fresh tokens."""
    known = {source.chunk: source for source in context.sources if source.chunk is not None}
    last = max((source.n for source in context.sources), default=0)
    left = max(budget - estimate_tokens(context.question), EXCERPT_LEAST)
    fresh = sum(passage.chunk not in known for passage in passages)
    for passage in passages:
        source = known.get(passage.chunk)
        if source is None:
            if left < EXCERPT_LEAST:
                continue
            share = max(left // max(fresh, 1), EXCERPT_LEAST)
            cut = prompting.excerpt(passage.text, question=context.question, tokens=share)
            left -= estimate_tokens(f"[{last}] {cut}")
            fresh -= 1
            last += 1
            new = NewSource(last, passage.chunk, passage.document, passage.title, passage.location, passage.text, cut)
            source = KnownSource(**asdict(new))
            draft.new.append(new)
        draft.sources.append(source)
        draft.scores[source.n] = round(passage.score, 4)


def _shown(source: KnownSource) -> prompting.NumberedSource:
    return prompting.NumberedSource(source.n, source.title, source.excerpt)


def _allowed(models: list[ModelId], *, private: bool) -> list[ModelId]:
    """What is private stays on this machine; guided mode, the last of the list, always does."""
    return [model for model in models if _is_local(model)] if private else models


def _is_local(model: ModelId) -> bool:
    try:
        return language_model(model).place is Place.LOCAL
    except LanguageModelError:
        return True  # it cannot be asked at all; the switcher says why


def _context_tokens(models: Sequence[ModelId]) -> int:
    """Of the first model that can be used at all; the switcher reports the ones that cannot."""
    for model in models:
        with contextlib.suppress(LanguageModelError):
            return language_model(model).context_tokens
    return SMALLEST_CONTEXT


def _request(context: TurnContext, draft: _Draft, models: Sequence[ModelId]) -> tuple[ChatRequest, prompting.Prompt]:
    first_shown = {new.n for new in draft.new}
    now = prompting.PastTurn(
        position=context.position,
        question=context.question,
        answer="",
        language=context.language,
        grounded=bool(draft.sources),
        sources=tuple(_shown(source) for source in draft.sources if source.n in first_shown),
    )

    def built(context_tokens: int) -> prompting.Prompt:
        return prompting.build(
            opening=prompting.opening(context.mode, context.language, context.coach_prompt),
            past=context.past,
            now=now,
            sources_from=draft.sources_from,
            context_tokens=context_tokens,
            answer_tokens=ANSWER_TOKENS,
        )

    prompt = built(_context_tokens(models))
    draft.sources_from = prompt.sources_from
    request = ChatRequest(
        messages=prompt.messages,
        max_tokens=ANSWER_TOKENS,
        conversation=str(context.conversation),
        private=context.private,
        language=context.language,
        quotes=tuple(Quote(source.n, source.title, source.excerpt) for source in draft.sources),
        account=_account(context),
        tokens=prompt.tokens,
    )

    def shorter(tokens: int) -> Shorter | None:
        less = built(tokens + ANSWER_TOKENS)
        if less.tokens >= prompt.tokens:
            return None
        draft.shortened_from = less.sources_from
        cut = replace(request, messages=less.messages, tokens=less.tokens)
        return Shorter(cut, less.sources_left_out, less.turns_left_out - prompt.turns_left_out)

    return replace(request, shorter=shorter), prompt


def _account(context: TurnContext) -> Account:
    waited = (timezone.now() - context.created).total_seconds() if context.created else 0.0
    return Account(coach=context.coach, user=context.owner, turn=context.turn, queue_seconds=max(waited, 0.0))


async def _stream(
    context: TurnContext,
    draft: _Draft,
    emit: Emit,
    joiner: TokenJoiner,
    models: Sequence[ModelId],
    started: float,
) -> None:
    request, prompt = _request(context, draft, models)
    if prompt.sources_left_out or prompt.turns_left_out:
        await _left_out(draft, emit, prompt.sources_left_out, prompt.turns_left_out)
    prefix = draft.answer
    allowed = [source.n for source in draft.sources]
    citations = grounding.CitationFilter(allowed)
    draft.timings["prompt"] = time.perf_counter() - started
    async with contextlib.aclosing(switcher.stream(request, models)) as events:
        async for event in events:
            if isinstance(event, Token):
                draft.timings.setdefault("first_token", time.perf_counter() - started)
                text = citations.feed(event.text)
                draft.answer += text
                joiner.add(text)
            elif isinstance(event, FellBack):
                await _fell_back(draft, emit, event, joiner, prefix)
                citations = grounding.CitationFilter(allowed)
            elif isinstance(event, Chosen):
                draft.shortened_from = 0  # another model is asked with the whole prompt
                await _chosen(draft, emit, event, private=context.private)
            elif isinstance(event, Trimmed):
                await _left_out(draft, emit, event.sources, event.turns)
            elif isinstance(event, Finished):
                draft.usage = event.usage
                draft.sources_from = draft.shortened_from or draft.sources_from
    rest = citations.flush()
    draft.answer += rest
    joiner.add(rest)


async def _left_out(draft: _Draft, emit: Emit, sources: int, turns: int) -> None:
    await _notice(draft, emit, "context_cut", notices.left_out(turns), sources=sources, turns=turns)


async def _chosen(draft: _Draft, emit: Emit, event: Chosen, *, private: bool) -> None:
    draft.model, draft.place = shown_name(event.model), event.place.value
    if event.model.provider == "guided":
        await _notice(draft, emit, "guided", notices.guided(private=private))
    elif event.place is Place.CLOUD and any(notice["code"] == "fallback" for notice in draft.notices):
        await _notice(draft, emit, "cloud", gettext("This answer is written by a cloud service."))


async def _fell_back(draft: _Draft, emit: Emit, event: FellBack, joiner: TokenJoiner, prefix: str) -> None:
    if event.discard:
        joiner.drop()
        await emit("reset", {})
        draft.answer = ""
        if prefix:
            draft.answer = prefix
            joiner.add(prefix)
    await _notice(
        draft, emit, "fallback", notices.fallback(event.reason), model=shown_name(event.model), reason=event.reason
    )
