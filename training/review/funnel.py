"""From turns to examples: how many are left at each step, counted in SQL.

The conditions are those of TurnFilter for a new data set, asked in another order: ratings first, because there are
fewer of them than turns, so that most turns need not be read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q
from django.db.models.functions import Length
from django.utils.translation import gettext as _

from coach.models import Rating, Turn

from ..filters import REASONS, TurnFilter
from ..models import DataSet, Example

PLAIN = TurnFilter(ideal=False)
UNANSWERED = [state for state in Turn.State if state != Turn.State.DONE]
# (step, reason of TurnFilter, what passes): from rated turns on, one after the other.
CONDITIONS: tuple[tuple[str, str, Q], ...] = (
    ("consented", "consent", Q(turn__conversation__owner__training_consent__isnull=False)),
    ("consented", "kept_out", Q(turn__conversation__kept_out=False)),
    ("consented", "private", Q(turn__conversation__private=False)),
    ("long", "question", Q(question_length__gt=PLAIN.min_question)),
    ("long", "answer", Q(answer_length__gt=PLAIN.min_answer)),
    ("unflagged", "safety", Q(turn__safety="")),
)


@dataclass(frozen=True, slots=True)
class Among:
    """Which turns are counted; the defaults mean all."""

    since: datetime | None = None
    coach: str = ""
    language: str = ""

    def turns(self, prefix: str = "") -> Q:
        """As a condition on turns, or on what leads to them by `prefix`."""
        found = Q()
        if self.since:
            found &= Q(**{f"{prefix}created__gte": self.since})
        if self.coach:
            found &= Q(**{f"{prefix}conversation__coach__slug": self.coach})
        if self.language:
            found &= Q(**{f"{prefix}language": self.language})
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """left: turns that came so far; percent: of all turns; lost: [(why, how many)] since the step before."""

    key: str
    name: str
    left: int
    percent: float
    lost: Sequence[tuple[str, int]] = ()


# (key, turns left, [(reason, turns lost since the step before)]); as JSON lists.
Counted = tuple[str, int, list[tuple[str, int]]]


def funnel(among: Among | None = None) -> list[Step]:
    return steps_of(count(among or Among()))


def steps_of(counted: Sequence[Counted]) -> list[Step]:
    """With their names in the active language."""
    names, everything = _names(), counted[0][1] if counted else 0
    return [
        Step(
            key,
            names[key],
            left,
            100 * left / everything if everything else 0.0,
            [(str(REASONS[reason]), n) for reason, n in lost if n],
        )
        for key, left, lost in counted
    ]


def count(among: Among) -> list[Counted]:
    """Reads most of the rated turns: seconds for a million of them."""
    everything, answered = _turns(among)
    rated, liked = _ratings(among)
    steps: list[Counted] = [("all", everything, []), ("answered", answered, [("state", everything - answered)])]
    steps += [("rated", rated, [("unrated", answered - rated)]), ("liked", liked, [("rating", rated - liked)])]
    steps += _usable(among, liked)
    steps += [(key, n, []) for key, n in _examples(among).items()]
    return steps


def _turns(among: Among) -> tuple[int, int]:
    """All, and those that are answered: from the index of states alone."""
    rows = Turn.objects.filter(among.turns()).order_by().values_list("state").annotate(n=Count("*"))
    states = dict(rows.values_list("state", "n"))
    return sum(states.values()), states.get(Turn.State.DONE, 0)


def _ratings(among: Among) -> tuple[int, int]:
    """Answered turns with a rating, and with one that is high enough. Few rated turns are not answered ones."""
    rated = Rating.objects.filter(among.turns("turn__"))
    liked = Q(rating__gte=PLAIN.min_rating)
    counts = rated.aggregate(rated=Count("pk"), liked=Count("pk", filter=liked))
    others = Turn.objects.filter(among.turns(), state__in=UNANSWERED, rating__isnull=False)
    less = others.aggregate(rated=Count("pk"), liked=Count("pk", filter=Q(rating__rating__gte=PLAIN.min_rating)))
    return counts["rated"] - less["rated"], counts["liked"] - less["liked"]


def _usable(among: Among, liked: int) -> list[Counted]:
    ratings = Rating.objects.filter(
        among.turns("turn__"), ~Q(turn__state__in=UNANSWERED), rating__gte=PLAIN.min_rating
    ).alias(question_length=Length("turn__question"), answer_length=Length("turn__answer"))
    passing, aggregates = Q(), {}
    for _step, reason, condition in CONDITIONS:
        passing &= condition
        aggregates[reason] = Count("pk", filter=passing)
    counts = ratings.aggregate(**aggregates)
    found: dict[str, Counted] = {}
    left = liked
    for step, reason, _condition in CONDITIONS:
        lost = (
            [*found[step][2], (reason, left - counts[reason])] if step in found else [(reason, left - counts[reason])]
        )
        left = counts[reason]
        found[step] = (step, left, lost)
    return list(found.values())


def _examples(among: Among) -> dict[str, int]:
    """Turns in a set, approved, and in a frozen set; made-up sets do not count."""
    examples = Example.objects.filter(among.turns("turn__"), turn__isnull=False, dataset__synthetic=False)
    examples = examples.exclude(dataset__state__in=(DataSet.State.FAILED, DataSet.State.CANCELLED))
    approved = Q(state=Example.State.APPROVED)
    return examples.order_by().aggregate(
        in_set=Count("turn", distinct=True),
        approved=Count("turn", filter=approved, distinct=True),
        frozen=Count("turn", filter=approved & Q(dataset__state=DataSet.State.FROZEN), distinct=True),
    )


def _names() -> dict[str, str]:
    return {
        "all": _("All turns"),
        "answered": _("Answered"),
        "rated": _("Rated"),
        "liked": _("Rated 3 or more"),
        "consented": _("With consent"),
        "long": _("Long enough"),
        "unflagged": _("Without a safety flag"),
        "in_set": _("In a data set"),
        "approved": _("Approved"),
        "frozen": _("In a frozen data set"),
    }
