"""One stream of events from the first model of a list that answers.

`with_fallbacks` of LangChain covers errors before the first token only and never a hang, so the
time-outs and the switch are here (shared FACTS, LangChain). The adapters connect within 2 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from django.utils.translation import gettext as _

from . import health
from .errors import FirstTokenTimeout, LanguageModelError, ModelUnavailable, NoModelLeft, StreamBroken, StreamStalled
from .registry import language_model
from .types import (
    AdapterEvent,
    ChatRequest,
    Chosen,
    FellBack,
    Finished,
    LanguageModel,
    ModelId,
    Place,
    StreamEvent,
    Token,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to wait: for the first token, between two tokens, and for an adapter to let go of its connection."""

    first_token: float = 8.0
    stall: float = 10.0
    close: float = 2.0


LIMITS = Limits()


@runtime_checkable
class Patient(Protocol):
    """An adapter that knows how long its model may need to read this prompt, in seconds."""

    def first_token_seconds(self, request: ChatRequest) -> float: ...


async def stream(
    request: ChatRequest, models: Sequence[ModelId], limits: Limits = LIMITS
) -> AsyncGenerator[StreamEvent, None]:
    """Events of llm/types.py from the first of `models` that answers to its end.

    A model whose breaker is open is passed over with a FellBack and no Chosen, unless no other is left.
    Closing the iterator (or cancelling the task that reads it) closes the model's stream at once.
    Raises NoModelLeft when every model failed; its cause is the last failure.
    """
    last: LanguageModelError | None = None
    async for model_id, model in _candidates(request, models):
        if isinstance(model, LanguageModelError):
            last = model
            yield FellBack(model_id, model.code, discard=False)
            continue
        started = False
        events = _attempt(model, request, limits)
        yield Chosen(model_id, model.place)
        try:
            async for event in events:
                started = True
                yield event
            return
        except LanguageModelError as error:
            last = error
            health.failed(model_id, error)
            log.warning("%s failed (%s): %s", model_id, error.code, error)
            yield FellBack(model_id, error.code, discard=started)
        finally:
            await events.aclose()
    raise NoModelLeft(_no_model_left(last)) from last


async def _candidates(
    request: ChatRequest, models: Sequence[ModelId]
) -> AsyncGenerator[tuple[ModelId, LanguageModel | LanguageModelError]]:
    """Each model to try, or why it is passed over; those with an open breaker come again if nothing was tried."""
    resting: list[tuple[ModelId, LanguageModel]] = []
    tried = False
    for model_id in models:
        try:
            model = language_model(model_id)
        except LanguageModelError as error:
            yield model_id, error
            continue
        if request.private and model.place is not Place.LOCAL:
            continue
        if health.may_try(model_id):
            tried = True
            yield model_id, model
        else:
            resting.append((model_id, model))
            yield model_id, ModelUnavailable(health.record(model_id).last_error)
    if not tried:
        for model_id, model in resting:
            yield model_id, model


async def _attempt(model: LanguageModel, request: ChatRequest, limits: Limits) -> AsyncGenerator[Token | Finished]:
    """One model's events within the time limits; raises errors of llm/errors.py."""
    iterator = model.stream(request)
    wait = model.first_token_seconds(request) if isinstance(model, Patient) else limits.first_token
    started = False
    try:
        while True:
            # A timeout per event costs 4 µs and is never open while the caller holds the event, so its
            # deadline cannot hit the caller, nor does it matter which task asks for the next one.
            async with asyncio.timeout(wait):
                event = await anext(iterator, None)
            if isinstance(event, Token):
                started = True
                wait = limits.stall
                yield event
                continue
            if event is None or not started:
                raise StreamBroken(_("%(model)s ended without an answer; try again.") % {"model": model.id})
            health.succeeded(model.id, event.usage)
            yield event
            return
    except TimeoutError as error:
        kind, text = (
            (StreamStalled, _("%(model)s fell silent for %(seconds)d s in the middle of its answer; try again."))
            if started
            else (FirstTokenTimeout, _("%(model)s did not begin to answer within %(seconds)d s; try again."))
        )
        raise kind(text % {"model": model.id, "seconds": wait}) from error
    finally:
        await _close(iterator, model.id, limits.close)


async def _close(iterator: AsyncIterator[AdapterEvent], model_id: ModelId, seconds: float) -> None:
    if isinstance(iterator, AsyncGenerator):
        try:
            async with asyncio.timeout(seconds):
                await iterator.aclose()
        except TimeoutError:
            log.warning("%s did not let go of its connection within %s s", model_id, seconds)


def _no_model_left(last: LanguageModelError | None) -> str:
    if last is None:
        return _("No language model may answer this; an administrator can add one in COACH_MODELS.")
    return _("No language model could answer; the last one said: %(reason)s") % {"reason": last}
