"""One question to one model, through the switcher that coachees' turns use; no other model answers in its place."""

from __future__ import annotations

import contextlib
import time
from contextlib import aclosing
from dataclasses import dataclass, field

from llm import switcher
from llm.errors import LanguageModelError, NoModelLeft
from llm.registry import language_model
from llm.switcher import Limits
from llm.types import Account, ChatRequest, Chosen, Finished, ModelId, Place, Quote, Token, Usage

from .questions import Item

# Nobody waits before a screen: a machine that is busy with conversations may take its time.
PATIENT = Limits(first_token=60.0, stall=60.0)
PURPOSE = "comparison"


@dataclass(frozen=True, slots=True)
class Said:
    """What a model made of a question. Seconds count from the call; speed is tokens a second after the first one.

    error: one sentence when it gave no answer
    """

    text: str = ""
    seconds: float = 0.0
    first_token: float | None = None
    speed: float | None = None
    place: Place = Place.LOCAL
    usage: Usage = field(default_factory=Usage)
    error: str = ""


async def warm(model: ModelId, item: Item) -> None:
    """Have a local model read what every prompt of this language begins with, as it has in a running installation:
    else whoever is asked first pays for it. Never raises for a model that fails: the question will find out."""
    request = ChatRequest(messages=item.messages[:-1], max_tokens=1, language=item.language)
    with contextlib.suppress(LanguageModelError):
        adapter = language_model(model)
        if adapter.place is Place.LOCAL and request.messages:
            await adapter.warm(request)


async def ask(model: ModelId, item: Item, *, answer_tokens: int, limits: Limits = PATIENT) -> Said:
    """Never raises for a model that fails."""
    request = ChatRequest(
        messages=item.messages,
        max_tokens=answer_tokens,
        temperature=0.0,
        language=item.language,
        quotes=[Quote(source.n, source.title, source.excerpt) for source in item.sources],
        account=Account(purpose=PURPOSE),
    )
    started, first, parts = time.monotonic(), None, []
    place, usage = Place.LOCAL, Usage()
    try:
        async with aclosing(switcher.stream(request, [model], limits)) as events:
            async for event in events:
                if isinstance(event, Token):
                    first = time.monotonic() if first is None else first
                    parts.append(event.text)
                elif isinstance(event, Chosen):
                    place = event.place
                elif isinstance(event, Finished):
                    usage = event.usage
    except LanguageModelError as error:
        cause = error.__cause__ if isinstance(error, NoModelLeft) and error.__cause__ else error
        return Said(seconds=time.monotonic() - started, error=str(cause))
    ended = time.monotonic()
    return Said(
        text="".join(parts).strip(),
        seconds=ended - started,
        first_token=None if first is None else first - started,
        speed=_speed(usage, ended - first if first is not None else 0.0, len(parts)),
        place=place,
        usage=usage,
    )


def _speed(usage: Usage, seconds: float, pieces: int) -> float | None:
    """The server's own figure where it gives one."""
    if usage.completion_tokens_per_second is not None:
        return usage.completion_tokens_per_second
    tokens = usage.completion_tokens if usage.completion_tokens is not None else pieces
    return (tokens - 1) / seconds if seconds > 0 and tokens > 1 else None
