"""Turns to learn from, for the tests of filters, exports and data sets."""

from __future__ import annotations

from typing import Any

from coach.models import Conversation, Rating, Turn

QUESTION = "How do I say no to my boss?"
ANSWER = "Begin with what you can do, then say what you cannot."


def make_turn(
    conversation: Conversation, *, rating: int | None = 4, helpful: bool | None = None, **values: Any
) -> Turn:
    turn = Turn.objects.create(
        **{
            "conversation": conversation,
            "position": conversation.turns.count(),
            "question": QUESTION,
            "answer": ANSWER,
            "state": Turn.State.DONE,
            **values,
        }
    )
    if rating:
        Rating.objects.create(turn=turn, rating=rating, helpful=helpful)
    return turn
