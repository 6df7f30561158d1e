"""What raters write: a review of a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from coach.models import RatingReason

from ..models import Review
from . import selectors
from .errors import MayNotReview, WrongReview

LONGEST_ANSWER = 8000
LONGEST_COMMENT = 2000


def save_review(
    *,
    user: Any,
    turn_id: UUID,
    rating: int | None = None,
    reasons: Sequence[str] = (),
    ideal_answer: str = "",
    comment: str = "",
) -> Review:
    """One review a rater and turn; saving again replaces what it said.

    Raises MayNotReview, NotFound for a turn that this person may not see, WrongReview.
    """
    if not selectors.may_change(user):
        raise MayNotReview
    turn = selectors.turn_to_review(user, turn_id)
    ideal_answer, comment = ideal_answer.strip(), comment.strip()
    _check(rating, ideal_answer, comment)
    values = {
        "rating": rating,
        "reasons": _known(reasons, turn.pk, user),
        "ideal_answer": "" if ideal_answer == turn.answer.strip() else ideal_answer,
        "comment": comment,
    }
    with transaction.atomic():
        review, _made = Review.objects.update_or_create(turn=turn, reviewer=user, defaults=values)
    return review


def _check(rating: int | None, ideal_answer: str, comment: str) -> None:
    if rating is None and not ideal_answer and not comment:
        raise WrongReview(_("Give a rating, or write the ideal answer or a comment."))
    if rating is not None and rating not in range(1, 6):
        raise WrongReview(_("A rating is a whole number from 1 to 5."))
    for text, longest in ((ideal_answer, LONGEST_ANSWER), (comment, LONGEST_COMMENT)):
        if len(text) > longest:
            raise WrongReview(_("This is too long: at most %(longest)d characters.") % {"longest": longest})


def _known(reasons: Sequence[str], turn_id: UUID, user: Any) -> list[str]:
    """Each once, in the order of the reasons. One that was switched off since may stay in a review that has it."""
    before = Review.objects.filter(turn=turn_id, reviewer=user).values_list("reasons", flat=True).first() or []
    known = [reason.slug for reason in RatingReason.objects.all() if reason.active or reason.slug in before]
    wrong = [reason for reason in reasons if reason not in known]
    if wrong:
        raise WrongReview(_("There is no reason called “%(name)s”.") % {"name": str(wrong[0])[:60]})
    return [slug for slug in known if slug in reasons]
