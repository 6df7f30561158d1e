"""The order of language models an administrator switched to while everything runs, and what is promoted in front
of it (LiveOrder).

    behind    the newest open row that is not `front`: the order itself; '' means COACH_MODELS
    in front  open rows with `front`, for one coach or all: with share 100 for every conversation, below for that
              stable part of them (a canary)

A change is known to every turn that begins after it, in every process: the turn's own statement brings the version
along (coach/statements.py). What asks without a turn follows within two seconds. A turn that runs has its list of
models already and finishes on it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max
from django.utils import timezone

from . import endpoints
from .errors import UnknownModel
from .registry import parse_models
from .types import ModelId

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import LiveOrder

log = logging.getLogger(__name__)

REMEMBERED = 2.0
WHOLE = 100
_ENDS = 1_000_000  # more rows than an installation ever ends: both counts fit into one number


@dataclass(frozen=True, slots=True)
class Front:
    """Models in front of the order: of one coach ('' means all), for `share` percent of the conversations."""

    models: str
    coach: str
    share: int


@dataclass(frozen=True, slots=True)
class Orders:
    """All that is open. `version` is another one after each change: statements of turns bring it along."""

    version: int = 0
    order: str = ""
    fronts: tuple[Front, ...] = ()


_seen: tuple[Orders, float] | None = None


def live_order() -> str:
    """The order as it was written, '' when none was. Asks the database at most every two seconds."""
    return _orders().order


def fronts() -> tuple[Front, ...]:
    """What is in front now, newest first."""
    return _orders().fronts


def live_models() -> list[ModelId]:
    """The models of the order; none when there is no order, or one that this version no longer understands."""
    return _models(live_order())


def in_front(*, coach: str, conversation: UUID | None, own_list: bool) -> list[ModelId]:
    """The promoted models that this conversation gets before any other: canaries first, the coach's before all's.

    A coach with a list of its own gets only what was promoted for that very coach. Without a conversation (a page
    that tells people of it) every canary counts.
    """
    wanted = (coach,) if own_list else (coach, "")
    found: list[ModelId] = []
    for slug in dict.fromkeys(wanted):
        mine = [front for front in fronts() if front.coach == slug]
        for front in sorted(mine, key=lambda front: front.share >= WHOLE):
            if conversation is None or in_share(front.models, conversation, front.share):
                found += _models(front.models)
    return list(dict.fromkeys(found))


def in_share(models: str, conversation: UUID, share: int) -> bool:
    """Whether a conversation is among the `share` percent. The same ones each time, and still when it is widened."""
    digest = hashlib.sha256(f"{models}\n{conversation}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (WHOLE * 100) < share * 100


def seen(version: int) -> None:
    """What a turn's statement says: another version than ours is read at once, else ours counts on."""
    global _seen
    if _seen is None or _seen[0].version != version:
        _seen = (_read(), time.monotonic() + REMEMBERED)
    else:
        _seen = (_seen[0], max(_seen[1], time.monotonic() + REMEMBERED))


def forget() -> None:
    """Ask the database again next time."""
    global _seen
    _seen = None


def switch(*, order: str, user_id: int | None) -> LiveOrder:
    """Use this order from now on; '' goes back to COACH_MODELS. Raises UnknownModel."""
    from .models import LiveOrder

    models = endpoints.checked_models(order)
    with transaction.atomic():
        LiveOrder.objects.filter(front=False, ended=None).update(ended=timezone.now())
        made = LiveOrder.objects.create(order=",".join(map(str, models)), changed_by_id=user_id)
    forget()
    return made


def put_in_front(*, models: str, coach: str, share: int, user_id: int | None) -> LiveOrder:
    """Promote: what is in front of the same coach ends, only a canary leaves a whole one in place. Raises UnknownModel.

    coach: slug, '' for all of them; share: 1 to 100 percent of the conversations.
    """
    from .models import LiveOrder

    named = ",".join(map(str, endpoints.checked_models(models)))
    if not named or not 1 <= share <= WHOLE:
        raise ValueError("a promotion names a model and a share from 1 to 100")
    with transaction.atomic():
        _end([row for row in _open(coach) if share == WHOLE or row.share < WHOLE])
        made = LiveOrder.objects.create(order=named, coach=coach, share=share, front=True, changed_by_id=user_id)
    forget()
    return made


def take_back(*, models: str, coach: str) -> bool:
    """End what put these models in front of a coach; False when nothing did."""
    with transaction.atomic():
        ended = _end([row for row in _open(coach) if row.order == models])
    forget()
    return ended > 0


def _open(coach: str) -> QuerySet[LiveOrder]:
    from .models import LiveOrder

    return LiveOrder.objects.select_for_update().filter(front=True, coach=coach, ended=None)


def _end(rows: Sequence[LiveOrder]) -> int:
    from .models import LiveOrder

    return LiveOrder.objects.filter(pk__in=[row.pk for row in rows], ended=None).update(ended=timezone.now())


def _orders() -> Orders:
    global _seen
    if _seen is None or time.monotonic() >= _seen[1]:
        _seen = (_read(), time.monotonic() + REMEMBERED)
    return _seen[0]


def _read() -> Orders:
    """What the database says; what was known stays when it does not answer."""
    from .models import LiveOrder  # what imports llm.policy may do so before Django is set up

    opened_here = connection.connection is None
    try:
        # The version first: what changes between the two statements is then read again by the next turn.
        counts = LiveOrder.objects.aggregate(newest=Max("pk"), ended=Count("ended"))
        rows = list(
            LiveOrder.objects.filter(ended=None).order_by("-pk").values_list("order", "coach", "share", "front")
        )
    except DatabaseError as error:
        log.warning("the order of models could not be read: %s", error)
        return _seen[0] if _seen else Orders()
    finally:
        if opened_here:  # a thread that is lent to many tasks keeps no connection of its own
            connection.close()
    return Orders(
        version=(counts["newest"] or 0) * _ENDS + counts["ended"],
        order=next((order for order, _coach, _share, front in rows if not front), ""),
        fronts=tuple(Front(order, coach, share) for order, coach, share, front in rows if front),
    )


def _models(text: str) -> list[ModelId]:
    try:
        return parse_models(text)
    except UnknownModel as error:
        log.error("an order of models in use is ignored: %s", error)
        return []
