"""REST of the review desk, for its page and for scripts of raters. Who may see what: review/selectors.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema

from coach.models import Turn

from .models import Review
from .review import desk, selectors, services
from .review.errors import MayNotReview

router = Router(tags=["reviews"])

MOST = 200


class QueuedOut(Schema):
    """conversation: a code that stands for it and leads nowhere. rating: the coachee's."""

    id: UUID
    conversation: str
    coach: str
    language: str
    question: str
    answer: str
    model: str
    place: str
    safety: str
    rating: int | None
    created: datetime


class QueueOut(Schema):
    """left: how many are in the queue, at most 1001."""

    left: int
    turns: list[QueuedOut]


class ReviewIn(Schema):
    rating: int | None = Field(None, ge=1, le=5)
    reasons: list[str] = Field([], max_length=50)
    ideal_answer: str = Field("", max_length=services.LONGEST_ANSWER)
    comment: str = Field("", max_length=services.LONGEST_COMMENT)


class ReviewOut(Schema):
    turn: UUID
    rating: int | None
    reasons: list[str]
    ideal_answer: str
    comment: str
    updated: datetime


class RatedOut(Schema):
    rating: int | None
    helpful: bool | None
    reasons: list[str]
    comment: str
    when: datetime
    own: bool


class MessageOut(Schema):
    role: str
    content: str


class PastOut(Schema):
    question: str
    answer: str
    language: str


class ShownOut(QueuedOut):
    """others: null until one's own review is saved; before and prompt: empty and null where only this turn is seen."""

    sources: list[dict[str, Any]]
    citations: list[int]
    provenance: dict[str, Any]
    before: list[PastOut]
    prompt: list[MessageOut] | None
    rated: RatedOut | None
    rating_changes: list[RatedOut]
    edit: str
    mine: ReviewOut | None
    others: list[ReviewOut] | None
    others_count: int


@router.get("/reviews/queue", response=QueueOut)
def get_review_queue(
    request: HttpRequest,
    show: str = "all",
    mine: str = "todo",
    language: str = "",
    coach: str = "",
    seed: int = 1,
    limit: int = 50,
) -> Any:
    """Turns to look at. show: all, low, uncited, safety, random (with `seed`); mine: todo, done, all."""
    if not selectors.may_review(request.user):
        raise MayNotReview
    given = {"show": show, "mine": mine, "language": language, "coach": coach, "seed": seed}
    wanted = selectors.Wanted.of(given)
    turns = selectors.first_turns(request.user, wanted, min(max(limit, 1), MOST))
    return {"left": selectors.left(request.user, wanted), "turns": [_queued(turn) for turn in turns]}


@router.get("/reviews/{turn}", response=ShownOut)
def get_review(request: HttpRequest, turn: UUID) -> Any:
    found = selectors.turn_to_review(request.user, turn)
    shown = desk.shown(request.user, found)
    return {
        **_queued(found),
        "sources": shown.sources,
        "citations": found.citations,
        "provenance": shown.provenance,
        "before": shown.before,
        "prompt": shown.prompt and list(shown.prompt.messages),
        "rated": shown.rated,
        "rating_changes": shown.changes,
        "edit": shown.edit,
        "mine": shown.mine and _review(shown.mine),
        "others": None if shown.others is None else [_review(review) for review in shown.others],
        "others_count": shown.others_count,
    }


@router.put("/reviews/{turn}", response=ReviewOut)
def put_review(request: HttpRequest, turn: UUID, body: ReviewIn) -> Any:
    """One's own review of the turn: made, or replaced."""
    return _review(services.save_review(user=request.user, turn_id=turn, **body.dict()))


def _queued(turn: Turn) -> dict[str, Any]:
    rating = getattr(turn, "rating", None)
    return {
        "id": turn.pk,
        "conversation": selectors.pseudonym(turn.conversation_id),
        "coach": turn.conversation.coach.slug,
        "language": turn.language,
        "question": turn.question,
        "answer": turn.answer,
        "model": turn.model,
        "place": turn.place,
        "safety": turn.safety,
        "rating": rating.rating if rating else None,
        "created": turn.created,
    }


def _review(review: Review) -> dict[str, Any]:
    return {
        "turn": review.turn_id,
        "rating": review.rating,
        "reasons": review.reasons,
        "ideal_answer": review.ideal_answer,
        "comment": review.comment,
        "updated": review.updated,
    }
