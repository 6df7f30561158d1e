"""Choosing between two answers without knowing whose they are, and what came of it.

A pair is shown in an order that is random, but always the same for one person; the models are named only after the
choice is stored, and a choice is never changed afterwards.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from coach.errors import NotFound
from coach.models import Turn

from ..models import AnswerPair, Choice
from .errors import MayNotReview, WrongReview
from .selectors import CONSENTED

SIDES = ("left", "right", "tie")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Revealed:
    """What is told after the choice. chosen: left, right or tie."""

    left: str
    right: str
    chosen: str


def may_choose(user: Any) -> bool:
    return bool(user.is_active and user.has_perm("training.add_choice"))


def readable_pairs() -> QuerySet[AnswerPair]:
    """Pairs with both answers. One that was made from a turn needs the consent of its owner, and that it is there."""
    turn = Turn.objects.filter(CONSENTED, pk=OuterRef("turn"))
    free = Q(turn=None) & ~Q(figures__has_key="batch")
    answered = AnswerPair.objects.exclude(first_answer="").exclude(second_answer="")
    return answered.filter(free | Exists(turn))


def pairs_for(user: Any, *, language: str = "") -> QuerySet[AnswerPair]:
    """Those this person has not chosen from; those that fewest people have seen come first."""
    own = Choice.objects.filter(pair=OuterRef("pk"), person=user.pk, judge="")
    pairs = readable_pairs().filter(~Exists(own))
    if language:
        pairs = pairs.filter(language=language)
    return pairs.annotate(seen=Count("choices", filter=Q(choices__judge=""))).order_by("seen", "pk")


def second_is_left(pair: AnswerPair, user_id: int) -> bool:
    toss = salted_hmac("training.choose", f"{pair.pk} {user_id}").digest()[0] & 1
    return pair.swapped != bool(toss)


def sides(pair: AnswerPair, user_id: int) -> tuple[str, str]:
    """The answers as this person sees them, left and right."""
    answers = (pair.first_answer, pair.second_answer)
    return answers[::-1] if second_is_left(pair, user_id) else answers


def choose(*, user: Any, pair_id: int, side: str) -> Revealed:
    """Stores a person's first choice of a pair; later ones change nothing, they only show what it was.

    Raises MayNotReview, NotFound, WrongReview.
    """
    if not may_choose(user):
        raise MayNotReview
    if side not in SIDES:
        raise WrongReview(_("Choose left, right or no difference."))
    pair = readable_pairs().filter(pk=pair_id).first()
    if pair is None:
        raise NotFound
    swapped = second_is_left(pair, user.pk)
    places = {"left": "second", "right": "first"} if swapped else {"left": "first", "right": "second"}
    values = {"chosen": places.get(side, "tie"), "swapped": swapped}
    choice, _made = Choice.objects.get_or_create(pair=pair, person=user, judge="", defaults=values)
    back = {place: name for name, place in places.items()}
    models = (pair.second, pair.first) if swapped else (pair.first, pair.second)
    return Revealed(*models, back.get(choice.chosen, "tie"))


# --- the leaderboard -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """share: of its choices that a model won, a tie as half a win; low and high: Wilson's interval of 95 %."""

    model: str
    wins: int
    ties: int
    losses: int
    share: float
    low: float
    high: float

    @property
    def choices(self) -> int:
        return self.wins + self.ties + self.losses


def leaderboard() -> dict[str, list[Standing]]:
    """By language, '' for all of them; the best model first. Choices of people only."""
    people = Choice.objects.filter(judge="", chosen__in=("first", "second", "tie")).order_by()
    rows = people.values_list("pair__language", "pair__first", "pair__second", "chosen").annotate(n=Count("pk"))
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for language, first, second, chosen, n in rows:
        for group in ("", language):
            counts[group][first][_outcome(chosen, "first")] += n
            counts[group][second][_outcome(chosen, "second")] += n
    return {language: _standings(counts[language]) for language in sorted(counts)}


def _outcome(chosen: str, side: str) -> str:
    if chosen == "tie":
        return "ties"
    return "wins" if chosen == side else "losses"


def _standings(models: Mapping[str, Counter[str]]) -> list[Standing]:
    found = []
    for model, count in models.items():
        n = count.total()
        share = (count["wins"] + count["ties"] / 2) / n
        found.append(Standing(model, count["wins"], count["ties"], count["losses"], share, *wilson(share, n)))
    return sorted(found, key=lambda one: (-one.share, one.model))


def wilson(share: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (Wilson, JASA 22, 1927) of a share of n; (0, 1) for nothing."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
