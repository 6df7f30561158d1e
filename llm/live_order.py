"""The order of language models an administrator switched to while everything runs (LiveOrder).

The newest row counts, in every process within five seconds. A turn that runs has its list of models already and
finishes on it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.db import DatabaseError, connection

from . import endpoints
from .errors import UnknownModel
from .registry import parse_models
from .types import ModelId

if TYPE_CHECKING:
    from .models import LiveOrder

log = logging.getLogger(__name__)

REMEMBERED = 5.0

_seen: tuple[str, float] | None = None


def live_order() -> str:
    """The order as it was written, '' when none was. Asks the database at most every five seconds."""
    if _seen is not None and time.monotonic() < _seen[1]:
        return _seen[0]
    from .models import LiveOrder  # what imports llm.policy may do so before Django is set up

    found = _seen[0] if _seen else ""
    opened_here = connection.connection is None
    try:
        found = LiveOrder.objects.order_by("-pk").values_list("order", flat=True).first() or ""
    except DatabaseError as error:
        log.warning("the order of models could not be read: %s", error)
    finally:
        if opened_here:  # a thread that is lent to many tasks keeps no connection of its own
            connection.close()
    remember(found)
    return found


def live_models() -> list[ModelId]:
    """Its models; none when there is no order, or one that this version no longer understands."""
    try:
        return parse_models(live_order())
    except UnknownModel as error:
        log.error("the order of models in use is ignored: %s", error)
        return []


def remember(order: str) -> None:
    """What somebody read just now counts for five seconds: the statement of a turn brings it along."""
    global _seen
    _seen = (order, time.monotonic() + REMEMBERED)


def forget() -> None:
    """Ask the database again next time."""
    global _seen
    _seen = None


def switch(*, order: str, user_id: int | None) -> LiveOrder:
    """Use this order from now on; '' goes back to COACH_MODELS. Raises UnknownModel."""
    from .models import LiveOrder

    models = endpoints.checked_models(order)
    made = LiveOrder.objects.create(order=",".join(map(str, models)), changed_by_id=user_id)
    remember(made.order)
    return made
