"""The part of a turn that asks a language model: the request, and its events as they reach the coachee."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

from django.utils import timezone
from django.utils.translation import gettext

from llm import switcher
from llm.embedded import shown_name
from llm.errors import LanguageModelError
from llm.registry import language_model
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
)

from . import answer_cache, grounding, notices, prompting
from .answer_cache import Kept
from .draft import Asked, Draft, notice
from .numbering import newly_shown
from .questions import about_conversation
from .selectors import TurnContext
from .token_joiner import Emit, TokenJoiner

ANSWER_TOKENS = 400
SMALLEST_CONTEXT = 2048


def _context_tokens(models: Sequence[ModelId]) -> int:
    """Of the first model that can be used at all; the switcher reports the ones that cannot."""
    for model in models:
        with contextlib.suppress(LanguageModelError):
            return language_model(model).context_tokens
    return SMALLEST_CONTEXT


def _request(context: TurnContext, draft: Draft, models: Sequence[ModelId]) -> tuple[ChatRequest, prompting.Prompt]:
    now = prompting.PastTurn(
        position=context.position,
        question=context.question,
        answer="",
        language=context.language,
        grounded=bool(draft.sources) or about_conversation(context.question, context.language),
        sources=newly_shown(context, draft),
    )
    opening = prompting.opening(context.mode, context.language, context.coach_prompt)

    def built(context_tokens: int) -> prompting.Prompt:
        return prompting.build(
            opening=opening,
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

    def asked(request: ChatRequest, prompt: prompting.Prompt) -> Asked:
        turns = context.past[prompt.turns_left_out :]
        return Asked(request, len(opening), tuple(turn.turn for turn in turns if turn.turn is not None))

    def shorter(tokens: int) -> Shorter | None:
        less = built(tokens + ANSWER_TOKENS)
        if less.tokens >= prompt.tokens:
            return None
        draft.shortened_from = less.sources_from
        cut = replace(request, messages=less.messages, tokens=less.tokens)
        draft.shorter = asked(cut, less)
        return Shorter(cut, less.sources_left_out, less.turns_left_out - prompt.turns_left_out)

    draft.asked = asked(request, prompt)
    return replace(request, shorter=shorter), prompt


def _account(context: TurnContext) -> Account:
    waited = (timezone.now() - context.created).total_seconds() if context.created else 0.0
    return Account(coach=context.coach, user=context.owner, turn=context.turn, queue_seconds=max(waited, 0.0))


async def stream(
    context: TurnContext,
    draft: Draft,
    emit: Emit,
    joiner: TokenJoiner,
    models: Sequence[ModelId],
    started: float,
) -> None:
    request, prompt = _request(context, draft, models)
    whole = draft.asked
    if prompt.sources_left_out or prompt.turns_left_out:
        await _left_out(draft, emit, prompt.sources_left_out, prompt.turns_left_out)
    prefix = draft.answer
    allowed = [source.n for source in draft.sources]
    citations = grounding.CitationFilter(allowed)
    draft.timings["prompt"] = time.perf_counter() - started
    where = await answer_cache.key(context, request, models)
    kept = await answer_cache.find(where)
    if kept is not None:
        await _again(draft, emit, joiner, kept, allowed)
        return
    written: list[str] = []
    chosen: Chosen | None = None
    async with contextlib.aclosing(switcher.stream(request, models)) as events:
        async for event in events:
            if isinstance(event, Token):
                draft.timings.setdefault("first_token", time.perf_counter() - started)
                written.append(event.text)
                text = citations.feed(event.text)
                draft.answer += text
                joiner.add(text)
            elif isinstance(event, FellBack):
                await _fell_back(draft, emit, event, joiner, prefix)
                citations, written = grounding.CitationFilter(allowed), []
            elif isinstance(event, Chosen):
                chosen = event
                draft.shortened_from, draft.asked = 0, whole  # another model is asked with the whole prompt
                draft.repeat_penalty = getattr(language_model(event.model), "repeat_penalty", None)
                await _chosen(draft, emit, event, private=context.private)
            elif isinstance(event, Trimmed):
                draft.asked = draft.shorter
                await _left_out(draft, emit, event.sources, event.turns)
            elif isinstance(event, Finished):
                draft.usage = event.usage
                draft.sources_from = draft.shortened_from or draft.sources_from
    rest = citations.flush()
    draft.answer += rest
    joiner.add(rest)
    if chosen is not None and chosen.model.provider != "guided" and not _degraded(draft):
        await answer_cache.keep(where, Kept("".join(written), chosen.model, chosen.place))


def _degraded(draft: Draft) -> bool:
    """Whether another try could bring a better answer."""
    return any(told["code"] in ("fallback", "context_cut") for told in draft.notices)


async def _again(draft: Draft, emit: Emit, joiner: TokenJoiner, kept: Kept, allowed: Sequence[int]) -> None:
    """The answer of the same question before, said to be one."""
    draft.model, draft.place = shown_name(kept.model), kept.place.value
    await notice(draft, emit, "answer_kept", notices.answer_kept())
    citations = grounding.CitationFilter(allowed)
    text = citations.feed(kept.text) + citations.flush()
    draft.answer += text
    joiner.add(text)


async def _left_out(draft: Draft, emit: Emit, sources: int, turns: int) -> None:
    await notice(draft, emit, "context_cut", notices.left_out(turns), sources=sources, turns=turns)


async def _chosen(draft: Draft, emit: Emit, event: Chosen, *, private: bool) -> None:
    draft.model, draft.place = shown_name(event.model), event.place.value
    if event.model.provider == "guided":
        await notice(draft, emit, "guided", notices.guided(private=private))
    elif event.place is Place.CLOUD and any(notice["code"] == "fallback" for notice in draft.notices):
        await notice(draft, emit, "cloud", gettext("This answer is written by a cloud service."))


async def _fell_back(draft: Draft, emit: Emit, event: FellBack, joiner: TokenJoiner, prefix: str) -> None:
    if event.discard:
        joiner.drop()
        await emit("reset", {})
        draft.answer = ""
        if prefix:
            draft.answer = prefix
            joiner.add(prefix)
    await notice(
        draft, emit, "fallback", notices.fallback(event.reason), model=shown_name(event.model), reason=event.reason
    )
