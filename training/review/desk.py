"""What the review desk shows of a turn. Nothing here names or leads to its owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import get_language

from coach.models import RatingReason, Turn
from coach.provenance import PromptDamaged, StoredPrompt, stored_prompt
from coach.selectors import sources_of_turn

from ..models import Review
from .selectors import consented, pseudonym

MOST_BEFORE = 20


@dataclass(frozen=True, slots=True)
class Rated:
    """What the coachee's rating was set to; rating None: it was taken back. own: by the coachee."""

    rating: int | None
    helpful: bool | None
    reasons: Sequence[str]
    comment: str
    when: datetime
    own: bool = True


@dataclass(frozen=True, slots=True)
class Reason:
    """A chip. `key` is the key that picks it, '' for those after the ninth."""

    slug: str
    text: str
    shown_for: str
    key: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A turn with all that helps to judge it.

    before      the conversation before it, oldest first; empty when only this turn may be seen
    alone       true when it is seen for its safety flag and not by consent
    others      reviews of other raters; None until one has saved one's own, `others_count` says how many wait
    edit        the answer as the coachee would have had it; '' when there is none, or only the turn itself may be seen
    prompt      what the model was shown, None when only this turn may be seen, or when what is stored is `damaged`
    """

    turn: Turn
    conversation: str
    alone: bool
    before: Sequence[Turn]
    more_before: bool
    sources: Sequence[dict[str, Any]]
    prompt: StoredPrompt | None
    damaged: str
    provenance: dict[str, Any]
    rated: Rated | None
    changes: Sequence[Rated]
    edit: str
    mine: Review | None
    others: Sequence[Review] | None
    others_count: int


def shown(user: Any, turn: Turn) -> Shown:
    """Of a turn from `selectors.turn_to_review`."""
    by_consent = consented(turn)
    before = _before(turn) if by_consent else []
    prompt, damaged = _prompt(turn) if by_consent else (None, "")
    reviews = list(Review.objects.filter(turn=turn).order_by("created", "pk"))
    mine = next((review for review in reviews if review.reviewer_id == user.pk), None)
    others = [review for review in reviews if review is not mine]
    return Shown(
        turn=turn,
        conversation=pseudonym(turn.conversation_id),
        alone=not by_consent,
        before=before[-MOST_BEFORE:],
        more_before=len(before) > MOST_BEFORE,
        sources=[{**source, "cited": source["n"] in turn.citations} for source in sources_of_turn(turn)],
        prompt=prompt,
        damaged=damaged,
        provenance=turn.provenance,
        rated=_rated(turn),
        changes=_changes(turn),
        edit=turn.edit.text if by_consent and hasattr(turn, "edit") else "",
        mine=mine,
        others=others if mine else None,
        others_count=len(others),
    )


def _prompt(turn: Turn) -> tuple[StoredPrompt | None, str]:
    """The prompt, or why it cannot be had."""
    try:
        return stored_prompt(turn), ""
    except PromptDamaged as error:
        return None, str(error)


def _before(turn: Turn) -> list[Turn]:
    """The last answered sibling of each position before it."""
    past = Turn.objects.filter(
        conversation=turn.conversation_id, position__lt=turn.position, state__in=(Turn.State.DONE, Turn.State.STOPPED)
    )
    last = {one.position: one for one in past.order_by("position", "created")}
    return list(last.values())


def _rated(turn: Turn) -> Rated | None:
    rating = getattr(turn, "rating", None)
    if rating is None:
        return None
    return Rated(rating.rating, rating.helpful, reason_texts(rating.reasons), rating.comment, rating.updated)


def _changes(turn: Turn) -> list[Rated]:
    """Oldest first; a single one says no more than the rating itself."""
    owner = turn.conversation.owner_id
    found = [
        Rated(
            change.rating,
            change.helpful,
            reason_texts(change.reasons),
            change.comment,
            change.created,
            change.changed_by_id == owner,
        )
        for change in turn.rating_changes.all()
    ]
    return found if len(found) > 1 else []


def reasons() -> list[Reason]:
    """The chips in the language of the page; keys q w r t y u i o p, which are free here."""
    keys = "qwrtyuiop"
    found = RatingReason.objects.filter(active=True)
    return [
        Reason(one.slug, _text(one), one.shown_for, keys[at] if at < len(keys) else "") for at, one in enumerate(found)
    ]


def reason_texts(slugs: Sequence[str]) -> list[str]:
    known = {one.slug: _text(one) for one in RatingReason.objects.filter(slug__in=slugs)} if slugs else {}
    return [known.get(slug, slug) for slug in slugs]


def _text(reason: RatingReason) -> str:
    code = (get_language() or "en").partition("-")[0]
    return str(reason.texts.get(code) or reason.texts.get("en") or reason.slug)
