"""Whether a person may go on asking: the bounds an admin set (Limit), counted from the calls of the running period.

A day and a month begin at midnight UTC. Calls are written up to a second after they end (llm/calls.py), so a bound
may be passed by the turns that run at the same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from .models import Limit, ModelCall
from .prices import currency
from .rollup import start_of, today
from .types import Place

# What all people use together is counted over many rows: at most so often in a process.
SHARED_SECONDS = 10.0
# Every turn asks which limits there are, and most installations have none.
LIMITS_SECONDS = 5.0
_ANSWERED = Q(outcome__in=("ok", "cancelled"), turn__isnull=False)

_shared: dict[tuple[Any, ...], tuple[float, Used]] = {}
_limits_known: tuple[float, list[Limit]] | None = None
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Which places may answer now; `message` says in one sentence what is not possible until when, '' else."""

    local: bool = True
    cloud: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """`turns` were answered; tokens are prompt and answer together; cost is in the currency of the prices."""

    turns: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit that counts for somebody, what of it is used, and when it is free again."""

    limit: Limit
    used: Used
    until: datetime

    @property
    def reached(self) -> bool:
        bounds = ((self.limit.turns, self.used.turns), (self.limit.tokens, self.used.tokens))
        over = any(most is not None and used >= most for most, used in bounds)
        return over or (self.limit.cost is not None and self.used.cost >= self.limit.cost)


def allowance(user: int | None, coach: str) -> Allowance:
    """What this person may use for a turn with this coach (its slug). No statement when no limit counts for them.

    A limit that was set or changed counts after LIMITS_SECONDS at the latest.
    """
    reached = [standing for standing in standings(user, coach) if standing.reached]
    if not reached:
        return Allowance()
    local = all(standing.limit.cloud_only for standing in reached)
    deciding = reached if local else [standing for standing in reached if not standing.limit.cloud_only]
    return Allowance(local=local, cloud=False, message=_message(local, max(item.until for item in deciding)))


def any_set() -> bool:
    """Whether there is any limit at all; what most installations are asked, for nothing."""
    return bool(_all_limits())


def standings(user: int | None, coach: str | None) -> list[Standing]:
    """Every limit that counts for this person and coach (None: any coach), with what is used of it."""
    limits = [limit for limit in _limits(user, coach) if user is not None or not _personal(limit)]
    personal = [limit for limit in limits if _personal(limit)]
    used = dict(zip([limit.pk for limit in personal], _count(personal, user), strict=True)) if personal else {}
    for limit in limits:
        if limit.pk not in used:
            used[limit.pk] = _count_shared(limit)
    return [Standing(limit, used[limit.pk], _period(limit.period)[1]) for limit in limits]


def standing_of(limit: Limit) -> Standing | None:
    """How far a limit is used; None for one that counts for each user alike."""
    if limit.user_id is None and limit.per_user:
        return None
    (used,) = _count([limit], limit.user_id)
    return Standing(limit, used, _period(limit.period)[1])


def usage_of(user: int) -> dict[str, Any]:
    """A person's own use today and this month, and the limits that count for them alone. For their own eyes."""
    day, month = Limit(period=Limit.Period.DAY), Limit(period=Limit.Period.MONTH)
    for limit in (day, month):
        limit.cloud_only = False
    today_used, month_used = _count([day, month], user)
    return {
        "today": _used_data(today_used),
        "month": _used_data(month_used),
        "currency": currency(),
        "limits": [
            {
                "coach": standing.limit.coach,
                "period": standing.limit.period,
                "cloud_only": standing.limit.cloud_only,
                "turns": standing.limit.turns,
                "tokens": standing.limit.tokens,
                "cost": None if standing.limit.cost is None else float(standing.limit.cost),
                "used": _used_data(standing.used),
                "reached": standing.reached,
                "free_again": standing.until,
            }
            for standing in standings(user, None)
            if _personal(standing.limit)
        ],
    }


def forget() -> None:
    """Look at the limits and count anew (after a limit was changed, and in tests)."""
    global _limits_known
    with _lock:
        _limits_known = None
        _shared.clear()


def _all_limits() -> Sequence[Limit]:
    global _limits_known
    known = _limits_known
    if known is None or time.monotonic() - known[0] > LIMITS_SECONDS:
        known = _limits_known = (time.monotonic(), list(Limit.objects.order_by("pk")))
    return known[1]


def _limits(user: int | None, coach: str | None) -> Sequence[Limit]:
    return [
        limit
        for limit in _all_limits()
        if limit.user_id in (None, user) and (coach is None or limit.coach in ("", coach[:50]))
    ]


def _personal(limit: Limit) -> bool:
    return limit.per_user or limit.user_id is not None


def _period(period: str) -> tuple[datetime, datetime]:
    """When the running day or month began, and when the next one begins."""
    day = today()
    if period == Limit.Period.DAY:
        return start_of(day), start_of(day + timedelta(days=1))
    first = day.replace(day=1)
    return start_of(first), start_of((first + timedelta(days=32)).replace(day=1))


def _count(limits: Sequence[Limit], user: int | None) -> list[Used]:
    """What is used of each, in one statement; `user` None counts everybody."""
    starts = [_period(limit.period)[0] for limit in limits]
    calls = ModelCall.objects.filter(started__gte=min(starts))
    if user is not None:
        calls = calls.filter(user_id=user)
    wanted: dict[str, Any] = {}
    for n, (limit, start) in enumerate(zip(limits, starts, strict=True)):
        counted = Q(started__gte=start)
        if limit.coach:
            counted &= Q(coach=limit.coach)
        if limit.cloud_only:
            counted &= Q(place=Place.CLOUD.value)
        wanted[f"turns_{n}"] = Count("turn", distinct=True, filter=counted & _ANSWERED)
        wanted[f"prompt_{n}"] = Sum("prompt_tokens", filter=counted)
        wanted[f"completion_{n}"] = Sum("completion_tokens", filter=counted)
        wanted[f"cost_{n}"] = Sum("cost", filter=counted)
    row = calls.aggregate(**wanted)
    return [
        Used(
            turns=row[f"turns_{n}"],
            tokens=(row[f"prompt_{n}"] or 0) + (row[f"completion_{n}"] or 0),
            cost=row[f"cost_{n}"] or Decimal(0),
        )
        for n in range(len(limits))
    ]


def _count_shared(limit: Limit) -> Used:
    key = (limit.pk, limit.coach, limit.cloud_only, _period(limit.period)[0])
    with _lock:
        known = _shared.get(key)
    if known is not None and time.monotonic() - known[0] < SHARED_SECONDS:
        return known[1]
    (used,) = _count([limit], None)
    with _lock:
        if len(_shared) > 1000:
            _shared.clear()
        _shared[key] = (time.monotonic(), used)
    return used


def _message(local: bool, until: datetime) -> str:
    when = date_format(until, "DATE_FORMAT") + ", 0:00 UTC"  # a period ends at midnight
    if local:
        return _("The limit for cloud models is reached; until %(when)s a model on this machine answers.") % {
            "when": when
        }
    return _("That was all for now: the limit for this coach is reached. You can go on from %(when)s.") % {"when": when}


def _used_data(used: Used) -> dict[str, Any]:
    return {"turns": used.turns, "tokens": used.tokens, "cost": float(used.cost)}
