"""What the tests of the switcher share."""

from __future__ import annotations

from llm.registry import parse_models
from llm.switcher import Limits, stream
from llm.types import ChatRequest, FellBack, ModelId, StreamEvent, Token

# A limit is short only where it is meant to be reached: a busy machine must not decide a test.
SOON_STALLED = Limits(first_token=60, stall=0.3)
SOON_GIVEN_UP = Limits(first_token=0.3, stall=60)
PATIENT = Limits(first_token=60, stall=60)
OPENAI, OLLAMA, EMBEDDED, GUIDED = parse_models("openai:m,ollama:m,llamacpp,guided")


async def events_of(request: ChatRequest, *models: ModelId, limits: Limits = PATIENT) -> list[StreamEvent]:
    return [event async for event in stream(request, models, limits)]


def text_of(events: list[StreamEvent]) -> str:
    """What a reader is left with."""
    text = ""
    for event in events:
        if isinstance(event, Token):
            text += event.text
        elif isinstance(event, FellBack) and event.discard:
            text = ""
    return text
