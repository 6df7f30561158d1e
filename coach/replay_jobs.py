"""Replays as rows: an administrator asks for one, a runner answers it, the page looks how far it is.

waiting ─► running ─► done | failed | cancelled. A runner that dies leaves a lease that runs out; the page wakes
another one, and after two attempts the replay is failed. Nothing here asks a model (replay.py does).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from llm import endpoints
from llm.errors import LanguageModelError

from .models import Replay, Turn

LEASE = timedelta(seconds=15)
MOST_ATTEMPTS = 2
MOST_CHARACTERS = 20_000
State = Replay.State
OPEN = (State.WAITING, State.RUNNING)


class WrongReplay(Exception):
    """One plain sentence about what was asked for."""


def start(*, turn: Turn, user_id: int | None, model: str = "", prompt: str = "", search: str = "") -> Replay:
    """Raises WrongReplay for a model that no provider knows, or a prompt that is too long."""
    try:
        named = ",".join(map(str, endpoints.checked_models(model))) if model.strip() else ""
    except LanguageModelError as error:
        raise WrongReplay(str(error)) from error
    if len(prompt) > MOST_CHARACTERS:
        raise WrongReplay(_("The prompt is too long: at most %(n)d characters.") % {"n": MOST_CHARACTERS})
    return Replay.objects.create(turn=turn, created_by_id=user_id, model=named, prompt=prompt.strip(), search=search)


def claim(*, replay_id: UUID) -> Replay | None:
    """Take it: waiting, or running with a lease that ran out. None when it is not to be had."""
    now = timezone.now()
    free = Q(state=State.WAITING) | Q(state=State.RUNNING, lease_until__lt=now)
    mine = Replay.objects.filter(free, pk=replay_id)
    if mine.filter(attempts__gte=MOST_ATTEMPTS).update(state=State.FAILED, error=_("It was interrupted twice.")):
        return None
    if not mine.update(state=State.RUNNING, lease_until=now + LEASE, attempts=F("attempts") + 1):
        return None
    return Replay.objects.get(pk=replay_id)


def progress(*, replay_id: UUID, answer: str) -> bool:
    """Keep the text so far. False when it shall stop."""
    running = Replay.objects.filter(pk=replay_id, state=State.RUNNING, cancel_requested=False)
    return bool(running.update(answer=answer, lease_until=timezone.now() + LEASE))


def finish(*, replay_id: UUID, answer: str, result: dict[str, Any]) -> None:
    _running(replay_id).update(state=State.DONE, answer=answer, result=result, lease_until=None)


def fail(*, replay_id: UUID, sentence: str) -> None:
    _running(replay_id).update(state=State.FAILED, error=sentence, lease_until=None)


def stopped(*, replay_id: UUID) -> None:
    _running(replay_id).update(state=State.CANCELLED, lease_until=None)


def cancel(*, replay: Replay) -> None:
    """One that waits is over at once; a running one within a second."""
    here = Replay.objects.filter(pk=replay.pk)
    if not here.filter(state=State.WAITING).update(state=State.CANCELLED):
        here.filter(state=State.RUNNING).update(cancel_requested=True)


def needs_waking(replay: Replay) -> bool:
    """Nobody is at it: the wake-up was lost, or the runner."""
    lost = replay.state == State.RUNNING and replay.lease_until is not None and replay.lease_until < timezone.now()
    return replay.state == State.WAITING or lost


def _running(replay_id: UUID) -> QuerySet[Replay]:
    return Replay.objects.filter(pk=replay_id, state=State.RUNNING)
