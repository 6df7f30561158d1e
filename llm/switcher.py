"""One stream of events from the first model of a list that answers.

`with_fallbacks` of LangChain covers errors before the first token only and never a hang, so the
time-outs and the switch are here (shared FACTS, LangChain). The adapters connect within 2 s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from django.utils.translation import gettext as _

from . import calls, health
from .choice import Choice
from .errors import (
    ContextTooLong,
    FirstTokenTimeout,
    LanguageModelError,
    NoModelLeft,
    NotCapable,
    RateLimited,
    StreamBroken,
    StreamStalled,
)
from .registry import language_model
from .tokens import fits, prompt_tokens
from .types import (
    AdapterEvent,
    CallReport,
    ChatRequest,
    Chosen,
    FellBack,
    Finished,
    LanguageModel,
    ModelId,
    Shorter,
    StreamEvent,
    Token,
    Trimmed,
    Usage,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to wait: for the first token, between two tokens, and for an adapter to let go of its connection."""

    first_token: float = 8.0
    stall: float = 10.0
    close: float = 2.0


LIMITS = Limits()
LONGEST_WAIT = 2.0  # seconds a server may ask for before it is asked again within the same answer


@runtime_checkable
class Patient(Protocol):
    """An adapter that knows how long its model may need to read this prompt, in seconds."""

    def first_token_seconds(self, request: ChatRequest) -> float: ...


async def stream(
    request: ChatRequest, models: Sequence[ModelId], limits: Limits = LIMITS
) -> AsyncGenerator[StreamEvent, None]:
    """Events of llm/types.py from the first of `models` (in the order of llm/choice.py) that answers to its end.

    A model that is passed over gives a FellBack and no Chosen. One whose context is too small for the prompt is
    asked once more with a shorter one, if `request.shorter` has one; one that asks for up to two seconds of
    patience (429) is asked again after them when no other language model is left.
    Closing the iterator (or cancelling the task that reads it) closes the model's stream at once.
    Each attempt is reported to llm/calls.py. Raises NoModelLeft when every model failed; its cause is the last failure.
    """
    failed = _Failed()
    choice = Choice(request, models, language_model)
    for model_id, model in choice:
        if isinstance(model, LanguageModelError):
            failed.by(model_id, model)
            yield FellBack(model_id, model.code, discard=False)
            continue
        yield Chosen(model_id, model.place)
        asked, patience = request, _Patience(choice)
        if not fits(asked, model.context_tokens) and (shorter := _shorter(asked, model, refused=False)):
            asked = shorter.request
            yield Trimmed(model_id, shorter.sources, shorter.turns)
        while True:
            with _Call(model, asked, failed) as call:
                events = _attempt(model, asked, limits, call)
                try:
                    async for event in events:
                        yield event
                    return
                except LanguageModelError as error:
                    call.outcome = error.code
                    failed.by(model_id, error)
                    health.failed(model_id, error)
                    log.warning("%s failed (%s): %s", model_id, error.code, error)
                finally:
                    await events.aclose()
            if call.first is None and (shorter := patience.trim(failed.error, asked, model)):
                asked = shorter.request
                yield Trimmed(model_id, shorter.sources, shorter.turns)
            elif not await patience.waited(failed.error, call):
                break
        choice.failed(model, failed.error)
        yield FellBack(model_id, failed.reason, discard=call.first is not None)
    raise NoModelLeft(_no_model_left(failed.error)) from failed.error


@dataclass(slots=True)
class _Failed:
    """The last failure in this stream."""

    model: str = ""
    error: LanguageModelError | None = None

    @property
    def reason(self) -> str:
        return self.error.code if self.error else ""

    def by(self, model: ModelId, error: LanguageModelError) -> None:
        """That a model cannot do it tells less than why the one before it failed."""
        if self.error is None or not isinstance(error, NotCapable):
            self.model, self.error = str(model), error


class _Call:
    """One attempt, for the books and for the count of running calls."""

    def __init__(self, model: LanguageModel, request: ChatRequest, failed: _Failed) -> None:
        self.outcome = "cancelled"
        self.first: float | None = None
        self.usage = Usage()
        self._model, self._account = model, request.account
        self._instead_of = (failed.model, failed.reason) if failed.model != str(model.id) else ("", "")
        self._record = health.record(model.id)
        self._record.running += 1
        self._trial = self._record.trial_until
        self._started, self._clock = datetime.now(UTC), time.monotonic()

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._record.running -= 1
        if kind is not None and issubclass(kind, Exception):
            self.outcome = LanguageModelError.code
        elif self.outcome == "cancelled":
            health.cancelled(self._model.id, self._trial)
        calls.report(
            CallReport(
                model=self._model.id,
                place=self._model.place,
                started=self._started,
                seconds=time.monotonic() - self._clock,
                outcome=self.outcome,
                account=self._account,
                first_token_seconds=None if self.first is None else self.first - self._clock,
                fallback_from=self._instead_of[0],
                fallback_reason=self._instead_of[1],
                usage=self.usage,
            )
        )


class _Patience:
    """What may be tried once more with the same model: a shorter prompt, and a short wait; each once."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._trimmed = self._waited = False

    def trim(self, error: LanguageModelError | None, asked: ChatRequest, model: LanguageModel) -> Shorter | None:
        if self._trimmed or not isinstance(error, ContextTooLong):
            return None
        self._trimmed = True
        return _shorter(asked, model, refused=True)

    async def waited(self, error: LanguageModelError | None, call: _Call) -> bool:
        if self._waited or call.first is not None or not isinstance(error, RateLimited):
            return False
        if error.retry_after is None or error.retry_after > LONGEST_WAIT or self._choice.others_left():
            return False
        self._waited = True
        await asyncio.sleep(error.retry_after)
        return True


def _shorter(request: ChatRequest, model: LanguageModel, *, refused: bool) -> Shorter | None:
    """The request cut for this model; to half of the prompt when the server refused what we thought would fit."""
    if request.shorter is None:
        return None
    room = model.context_tokens - request.max_tokens
    tokens = request.tokens or prompt_tokens(request.messages)
    found = request.shorter(min(room, tokens) // 2 if refused else room)
    if found is None or (found.request.tokens or prompt_tokens(found.request.messages)) >= tokens:
        return None
    # What was cut by our own count may have to be cut again when the server has counted.
    return replace(found, request=replace(found.request, shorter=request.shorter))


async def _attempt(
    model: LanguageModel, request: ChatRequest, limits: Limits, call: _Call
) -> AsyncGenerator[Token | Finished]:
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
                if not started:
                    started, wait, call.first = True, limits.stall, time.monotonic()
                yield event
                continue
            if event is None or not started:
                raise StreamBroken(_("%(model)s ended without an answer; try again.") % {"model": model.id})
            health.succeeded(model.id, event.usage, estimated=request.tokens, language=request.language)
            call.outcome, call.usage = "ok", event.usage
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
