"""Conversations and turns as they go over the wire, in REST and on the page."""

from __future__ import annotations

from typing import Any

from . import selectors
from .models import AnswerEdit, Conversation, Rating, Turn


def turn_data(turn: Turn) -> dict[str, Any]:
    rating, edit = getattr(turn, "rating", None), getattr(turn, "edit", None)
    return {
        "id": turn.pk,
        "conversation": turn.conversation_id,
        "position": turn.position,
        "regenerates": turn.regenerates_id,
        "question": turn.question,
        "answer": turn.answer,
        "state": turn.state,
        "language": turn.language,
        "sources": selectors.sources_of_turn(turn),
        "citations": turn.citations,
        "unsupported": turn.unsupported,
        "notices": turn.notices,
        "grounded": turn.grounded,
        "model": turn.model,
        "place": turn.place,
        "usage": turn.usage,
        "timings": turn.timings,
        "failure": turn.failure,
        "rating": rating_data(rating) if rating else None,
        "edit": edit_data(edit) if edit else None,
        "created": turn.created,
    }


def rating_data(rating: Rating) -> dict[str, Any]:
    return {
        "rating": rating.rating,
        "helpful": rating.helpful,
        "reasons": rating.reasons,
        "comment": rating.comment,
    }


def edit_data(edit: AnswerEdit) -> dict[str, Any]:
    return {"text": edit.text, "created": edit.created, "updated": edit.updated}


def conversation_summary(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.pk,
        "coach": conversation.coach.slug,
        "title": conversation.title,
        "language": conversation.language,
        "private": conversation.private,
        "kept_out": conversation.kept_out,
        "created": conversation.created,
        "updated": conversation.updated,
    }


def conversation_data(conversation: Conversation) -> dict[str, Any]:
    """With all its turns."""
    turns = selectors.turns_of(conversation)
    return {**conversation_summary(conversation), "turns": [turn_data(turn) for turn in turns]}
