"""Who may read what at the review desk, and which turn comes next.

| who                                       | sees                                                            |
|-------------------------------------------|-----------------------------------------------------------------|
| anybody else                              | nothing                                                         |
| rater (permission training.view_review)   | answered turns whose owner agreed to training, neither private  |
|                                           | nor kept out; those with a safety flag too                      |
| staff with coach.view_turn, and the above | also turns with a safety flag without that consent, these alone |

A private conversation is read by nobody. No name of an owner is shown: `pseudonym` stands for a conversation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac

from coach.errors import NotFound
from coach.models import Coach, Conversation, Rating, Turn

from ..models import Review
from .errors import MayNotReview

# Nearly all turns are done: said so, the database would take the index of states and sort a million turns by date.
ANSWERED = ~Q(state__in=[state for state in Turn.State if state != Turn.State.DONE])
# What the owner's consent covers. It can be taken back at any time, so it is asked at every read.
CONSENTED = ANSWERED & Q(
    conversation__owner__training_consent__isnull=False,
    conversation__kept_out=False,
    conversation__private=False,
)
FLAGGED = ANSWERED & Q(conversation__private=False) & ~Q(safety="")
SHOWN = ("all", "low", "uncited", "safety", "random")
MINE = ("todo", "done", "all")
LARGEST_SEED = 999_999
COUNTED = 1000  # above that "1000+" is as good to know
LOW = 2


def may_review(user: Any) -> bool:
    return bool(user.is_active and user.has_perm("training.view_review"))


def may_change(user: Any) -> bool:
    return bool(may_review(user) and user.has_perm("training.add_review") and user.has_perm("training.change_review"))


def readable_turns(user: Any) -> QuerySet[Turn]:
    if not may_review(user):
        return Turn.objects.none()
    seen = CONSENTED
    if user.is_staff and user.has_perm("coach.view_turn"):
        seen = seen | FLAGGED
    return Turn.objects.filter(seen)


def turn_to_review(user: Any, turn_id: UUID) -> Turn:
    """Raises MayNotReview, or NotFound for what is not there and what may not be seen."""
    if not may_review(user):
        raise MayNotReview
    found = readable_turns(user).filter(pk=turn_id).select_related("conversation__coach", "rating", "edit").first()
    if found is None:
        raise NotFound
    return found


def consented(turn: Turn) -> bool:
    """Whether this turn is seen by consent, and with it the conversation before it."""
    return Turn.objects.filter(CONSENTED, pk=turn.pk).exists()


def pseudonym(conversation_id: UUID) -> str:
    """Six letters and digits that stand for a conversation; they lead nowhere."""
    return str(salted_hmac("training.review", str(conversation_id)).hexdigest()[:6]).upper()


# --- the queue -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which turns are looked at.

    show    one of SHOWN. random: the same order for everybody with the same `seed`, so that raters meet
    mine    todo: not yet reviewed by me
    """

    show: str = "all"
    mine: str = "todo"
    language: str = ""
    coach: str = ""
    seed: int = 1

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wanted:
        """From the parameters of an address; what does not exist counts as not given."""
        seed = str(given.get("seed", ""))
        language, coach = str(given.get("language", "")), str(given.get("coach", ""))
        return cls(
            show=_one_of(SHOWN, given.get("show")),
            mine=_one_of(MINE, given.get("mine")),
            language=language if language in dict(settings.LANGUAGES) else "",
            coach=coach if coach and Coach.objects.filter(slug=coach).exists() else "",
            seed=min(int(seed[:9]), LARGEST_SEED) if seed.isascii() and seed.isdigit() else 1,
        )

    def query(self) -> dict[str, Any]:
        """The parameters of an address that differ from what is meant without them."""
        plain = asdict(Wanted())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


def _one_of(known: tuple[str, ...], given: Any) -> str:
    return given if given in known else known[0]


def queue(user: Any, wanted: Wanted) -> QuerySet[Turn]:
    """The turns to look at, not yet in their order.

    Conditions instead of joins: with a join the database begins with coaches or ratings and sorts a million turns to
    find the newest one.
    """
    turns = readable_turns(user).filter(_shown(wanted.show))
    if wanted.language:
        turns = turns.filter(language=wanted.language)
    if wanted.coach:
        of_coach = Conversation.objects.filter(pk=OuterRef("conversation"), coach__slug=wanted.coach)
        turns = turns.filter(Exists(of_coach))
    own = Review.objects.filter(reviewer=user.pk)
    if wanted.mine == "todo":
        turns = turns.filter(~Exists(own.filter(turn=OuterRef("pk"))))
    elif wanted.mine == "done":
        turns = turns.filter(pk__in=own.values("turn"))
    return turns


def _shown(show: str) -> Q:
    low = Rating.objects.filter(Q(rating__lte=LOW) | Q(helpful=False), turn=OuterRef("pk"))
    shown = {
        "low": Q(Exists(low)),
        "uncited": Q(citations=[]) & ~Q(sources=[]),
        "safety": ~Q(safety=""),
    }
    return shown.get(show, Q())


def first_turns(user: Any, wanted: Wanted, most: int) -> list[Turn]:
    """The first ones of the queue in its order."""
    turns = queue(user, wanted).select_related("conversation__coach", "rating")
    if wanted.show != "random":
        return list(turns.order_by("-created")[:most])
    start = starting_place(wanted.seed)
    found = list(turns.filter(pk__gte=start).order_by("pk")[:most])
    return found + list(turns.filter(pk__lt=start).order_by("pk")[: most - len(found)])


def starting_place(seed: int) -> UUID:
    """Where a sample begins. The ids of turns are random, so a run of them in their order is a random sample."""
    return UUID(bytes=hashlib.sha256(str(seed).encode()).digest()[:16])


def next_turn(user: Any, wanted: Wanted, turn: Turn | None) -> UUID | None:
    """The turn after this one, the first without one; None at the end."""
    turns = queue(user, wanted)
    if wanted.show != "random":
        return _next_by_date(turns, turn)
    if turn is None:
        return next((one.pk for one in first_turns(user, wanted, 1)), None)
    start = starting_place(wanted.seed)
    ordered = turns.order_by("pk").values_list("pk", flat=True)
    if turn.pk < start:
        return ordered.filter(pk__gt=turn.pk, pk__lt=start).first()
    return ordered.filter(pk__gt=turn.pk).first() or ordered.filter(pk__lt=start).first()


def turn_before(user: Any, wanted: Wanted, turn: Turn) -> UUID | None:
    """The turn before this one, reviewed or not: what one has just saved is where one goes back to."""
    turns = queue(user, replace(wanted, mine="all"))
    if wanted.show != "random":
        return _before_by_date(turns, turn)
    start = starting_place(wanted.seed)
    ordered = turns.order_by("-pk").values_list("pk", flat=True)
    if turn.pk >= start:
        return ordered.filter(pk__lt=turn.pk, pk__gte=start).first()
    return ordered.filter(pk__lt=turn.pk).first() or ordered.filter(pk__gte=start).first()


# The newest first. By date alone the index of dates gives the next one; an order by date and id would sort a million
# turns for it. Turns of one and the same microsecond follow by their ids.


def _next_by_date(turns: QuerySet[Turn], turn: Turn | None) -> UUID | None:
    older = turns
    if turn is not None:
        same = turns.filter(created=turn.created, pk__gt=turn.pk).order_by("pk").values_list("pk", flat=True).first()
        if same is not None:
            return same
        older = turns.filter(created__lt=turn.created)
    moment = older.order_by("-created").values_list("created", flat=True)[:1]
    return turns.filter(created__in=list(moment)).order_by("pk").values_list("pk", flat=True).first()


def _before_by_date(turns: QuerySet[Turn], turn: Turn) -> UUID | None:
    same = turns.filter(created=turn.created, pk__lt=turn.pk).order_by("-pk").values_list("pk", flat=True).first()
    if same is not None:
        return same
    moment = turns.filter(created__gt=turn.created).order_by("created").values_list("created", flat=True)[:1]
    return turns.filter(created__in=list(moment)).order_by("-pk").values_list("pk", flat=True).first()


def left(user: Any, wanted: Wanted) -> int:
    """How many are in the queue; COUNTED + 1 when there are more than COUNTED."""
    return queue(user, wanted).order_by()[: COUNTED + 1].count()
