"""The books of the model layer: `report` takes one call and never makes anybody wait.

    report ─► buffer (oldest dropped beyond MOST_WAITING) ─► a thread, at most once a second ─► ModelCall in bulk

The thread is the only one here that touches the database and has a connection of its own. While the database is
away the calls wait in the buffer. What a process has not written when it is killed is lost: up to a second.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, IntegrityError, connection, transaction

from . import live, prices
from .models import ModelCall, Price
from .types import CallReport

log = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
IDLE_SECONDS = 5.0
MOST_WAITING = 5000
AT_ONCE = 500
END_SECONDS = 5.0


def report(call: CallReport) -> None:
    """Keep a call; written to ModelCall by a thread of its own, many at a time. Never raises, never waits."""
    if settings.LLM_CALL_DAYS:
        _writer.add(call)


def flush(seconds: float = END_SECONDS) -> bool:
    """Have everything written and the connection closed; False when that took longer than `seconds`."""
    return _writer.flush(seconds)


class _Writer:
    """The buffer and its thread, which starts with the first call of a process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[CallReport] = deque()
        self._thread: threading.Thread | None = None
        self._writing = False
        self._ending = False
        self._dropped = 0

    def add(self, call: CallReport) -> None:
        with self._changed:
            self._waiting.append(call)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                if not self._dropped:
                    log.warning("more than %s calls wait for the database; the oldest are not recorded", MOST_WAITING)
                self._dropped += 1
            self._start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                return not self._waiting
            self._ending = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._ending, seconds) and not self._waiting

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="model-calls", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Ends when nothing came for a while; the next call starts a new thread."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._ending, IDLE_SECONDS)
                    if not self._waiting and not self._ending:
                        self._thread = None
                        return
                self._write_all()
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, WRITE_SECONDS)
        finally:
            connection.close()

    def _write_all(self) -> None:
        ending, failed = self._ending, False
        while not failed and (calls := self._take()):
            failed = not _write(calls)
            if failed:
                self._put_back(calls)
        live.publish()
        if ending:
            connection.close()
            with self._changed:
                self._ending = False
                self._changed.notify_all()

    def _take(self) -> list[CallReport]:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                log.warning("%s calls were not recorded", dropped)
            return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]

    def _put_back(self, calls: Sequence[CallReport]) -> None:
        with self._changed:
            room = MOST_WAITING - len(self._waiting)
            self._dropped += max(len(calls) - room, 0)
            self._waiting.extendleft(reversed(calls[max(len(calls) - room, 0) :]))


def _write(calls: Sequence[CallReport]) -> bool:
    """False when the database does not answer now and the calls should be tried again."""
    try:
        known = list(Price.objects.all())
        rows = [_row(call, known) for call in calls]
        try:
            with transaction.atomic():
                ModelCall.objects.bulk_create(_of_people_who_exist(rows))
        except IntegrityError:  # somebody was deleted in this very moment
            for row in rows:
                row.user_id = None
            ModelCall.objects.bulk_create(rows)
    except DatabaseError as error:
        log.warning("%s calls of language models wait: the database did not take them: %s", len(calls), error)
        connection.close()
        return False
    except Exception:
        log.exception("%s calls of language models could not be recorded", len(calls))
    return True


def _of_people_who_exist(rows: list[ModelCall]) -> list[ModelCall]:
    """A guest may delete everything while the last answer ends: the call stays, without the person."""
    asked = {row.user_id for row in rows if row.user_id is not None}
    there = set(get_user_model().objects.filter(pk__in=asked).values_list("pk", flat=True)) if asked else set()
    for row in rows:
        if row.user_id not in there:
            row.user_id = None
    return rows


def _row(call: CallReport, known: Sequence[Price]) -> ModelCall:
    model, usage, account = str(call.model), call.usage, call.account
    return ModelCall(
        started=call.started,
        model=model[:200],
        place=call.place.value,
        purpose=account.purpose[:20],
        outcome=call.outcome[:40],
        fallback_from=call.fallback_from[:200],
        fallback_reason=call.fallback_reason[:40],
        queue_seconds=account.queue_seconds,
        first_token_seconds=call.first_token_seconds,
        seconds=call.seconds,
        prompt_tokens=usage.prompt_tokens,
        cached_prompt_tokens=usage.cached_prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_speed=usage.prompt_tokens_per_second,
        completion_speed=usage.completion_tokens_per_second,
        cost=prices.cost_of(usage, call.place, prices.price_of(model, known)),
        coach=account.coach[:50],
        user_id=account.user,
        turn=account.turn,
    )


_writer = _Writer()


def _forked() -> None:
    """A child has neither the thread nor a right to write its parent's calls."""
    global _writer
    _writer = _Writer()


os.register_at_fork(after_in_child=_forked)
atexit.register(flush)
