"""How long a model on this machine may take to its first token: reading the prompt is what takes the time."""

from __future__ import annotations

from llm import health
from llm.types import ChatRequest, ModelId

SHORTEST_FIRST_TOKEN = 8.0
ASSUMED_PROMPT_SPEED = 40.0  # tokens per second before anything was measured; 2 old cores
_BYTES_PER_TOKEN = 3.0  # UTF-8; English 4, Swedish 3.3, Korean 3: never too few tokens by much


def reading_seconds(model_id: ModelId, request: ChatRequest) -> float:
    """Twice the time that reading the whole prompt uncached would take at the measured speed, at least 8 s."""
    tokens = sum(len(message.content.encode()) for message in request.messages) / _BYTES_PER_TOKEN
    speed = health.prompt_speed(model_id) or ASSUMED_PROMPT_SPEED
    return max(SHORTEST_FIRST_TOKEN, tokens / speed * 2 + 2)
