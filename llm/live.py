"""How the language models in use are doing right now.

The circuit breakers live in the processes that run turns (llm/health.py): after each batch of calls such a process
writes its records to Redis, and the admin panel reads those of all. What can be asked without a vendor's package
is asked too; a cloud service is judged by its calls alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from . import health, loops
from .errors import LanguageModelError
from .models import ModelCall
from .registry import language_model
from .types import Health, ModelId

log = logging.getLogger(__name__)

KEY = "llm:health"
KEPT_SECONDS = 600
ASK_SECONDS = 2.5
REMEMBERED_SECONDS = 10.0
RECENT = timedelta(minutes=5)
# Providers whose `check` is one small HTTP request: the web process imports no vendor's package.
ASKED = frozenset({"guided", "llamacpp", "ollama"})
GOOD_OUTCOMES = ("ok", "cancelled")

_remembered: tuple[float, tuple[ModelId, ...], list[LiveModel]] | None = None
_asking = threading.Lock()


@dataclass(frozen=True, slots=True)
class LiveModel:
    """`state`: good, bad or unknown (not asked and not used lately). Speeds in tokens/s, counts of five minutes."""

    model: str
    state: str
    detail: str
    calls: int = 0
    errors: int = 0
    resting_seconds: int = 0
    prompt_speed: float | None = None
    completion_speed: float | None = None


def publish() -> None:
    """Write this process's records to Redis. Never raises: nobody waits for this."""
    now, clock = time.time(), time.monotonic()
    records = {
        str(model): {
            "failures": found.failures,
            "error": found.last_error,
            "open_until": now + found.open_until - clock if found.open_until > clock else 0,
            "prompt_speed": found.prompt_speed,
            "completion_speed": found.completion_speed,
        }
        for model, found in health._records.copy().items()
    }
    if not records:
        return
    try:
        with _redis() as client:
            client.hset(KEY, f"{socket.gethostname()}:{os.getpid()}", json.dumps({"at": now, "models": records}))
            client.expire(KEY, KEPT_SECONDS)
    except (RedisError, OSError) as error:
        log.debug("the health of the models could not be published: %s", error)


def live_models(models: Sequence[ModelId]) -> list[LiveModel]:
    """Each model's state, in the order given; remembered for ten seconds. Waits up to 2.5 s; not in async code."""
    global _remembered
    wanted = tuple(models)
    with _asking:
        if _remembered is None or _remembered[1] != wanted or time.monotonic() - _remembered[0] > REMEMBERED_SECONDS:
            _remembered = (time.monotonic(), wanted, _look(wanted))
        return _remembered[2]


def forget() -> None:
    """Look again next time."""
    global _remembered
    _remembered = None


def _look(models: Sequence[ModelId]) -> list[LiveModel]:
    checks = loops.run(_ask_all(models))
    records = _published()
    names = [str(model) for model in models]
    recent = {
        row["model"]: {"calls": row["calls"], "errors": row["errors"]}
        for row in ModelCall.objects.filter(started__gte=timezone.now() - RECENT, model__in=names)
        .order_by()
        .values("model")
        .annotate(calls=Count("pk"), errors=Count("pk", filter=~Q(outcome__in=GOOD_OUTCOMES)))
    }
    return [
        _together(name, checks[model], records.get(name, []), recent.get(name, {"calls": 0, "errors": 0}))
        for name, model in zip(names, models, strict=True)
    ]


def _together(
    name: str, check: Health | None, records: Sequence[dict[str, float | str | None]], recent: dict[str, int]
) -> LiveModel:
    resting = max((int(float(record["open_until"] or 0) - time.time()) for record in records), default=0)
    failing = [str(record["error"]) for record in records if record["failures"]]
    if check is not None and not check.ok:
        state, detail = "bad", check.detail
    elif resting > 0 or (failing and recent["errors"]):
        state, detail = "bad", failing[0] if failing else ""
    elif check is not None or recent["calls"] > recent["errors"]:
        state, detail = "good", ""
    elif recent["errors"]:
        state, detail = "bad", _("Its last calls failed.")
    else:
        state, detail = "unknown", _("Not used in the last five minutes.")
    return LiveModel(
        model=name,
        state=state,
        detail=detail,
        calls=recent["calls"],
        errors=recent["errors"],
        resting_seconds=max(resting, 0),
        prompt_speed=_mean([record["prompt_speed"] for record in records]),
        completion_speed=_mean([record["completion_speed"] for record in records]),
    )


def _mean(values: Sequence[float | str | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None


async def _ask_all(models: Sequence[ModelId]) -> dict[ModelId, Health | None]:
    answers = await asyncio.gather(*(_ask(model) for model in models))
    return dict(zip(models, answers, strict=True))


async def _ask(model: ModelId) -> Health | None:
    """None when it is not asked."""
    if model.provider not in ASKED:
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await language_model(model).check()
    except TimeoutError:
        return Health(False, _("It did not answer within %(seconds)s s.") % {"seconds": ASK_SECONDS})
    except LanguageModelError as error:
        return Health(False, str(error))


def _published() -> dict[str, list[dict[str, float | str | None]]]:
    """The records of every process that wrote within ten minutes, by model; {} when Redis is away."""
    found: dict[str, list[dict[str, float | str | None]]] = {}
    try:
        with _redis() as client:
            texts = list(client.hgetall(KEY).values())
    except (RedisError, OSError):
        return found
    for text in texts:
        process = json.loads(text)
        if process["at"] > time.time() - KEPT_SECONDS:
            for model, record in process["models"].items():
                found.setdefault(model, []).append(record)
    return found


def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
