"""What `reembed` and `rebuild_index` show while they wait for index generations."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from django.core.management.base import CommandError

from knowledge import reindex, selectors
from knowledge.errors import NotFound
from knowledge.models import IndexGeneration, KnowledgeBase
from llm.wake import worker_answers

State = IndexGeneration.State
POLL_SECONDS, SLICE_SECONDS = 0.5, 10.0


def wanted_bases(name: str) -> list[KnowledgeBase]:
    """The base of this name, or all. Raises CommandError."""
    if not name:
        return list(KnowledgeBase.objects.order_by("slug"))
    found = selectors.base_named(name)
    if found is None:
        raise CommandError(f"There is no knowledge base named {name}.")
    return [found]


def wait(made: Sequence[IndexGeneration], say: Callable[[str], object]) -> list[dict[str, object]]:
    """Until each is live, failed, cancelled, or ready but below the live one; gives their data then.

    Does the work itself when no worker answers. say: gets a line for each step.
    """
    here = not worker_answers()
    if here:
        say("No worker answers; building here.")
    shown = ""
    while True:
        rows = [_data(generation) for generation in made]
        line = "; ".join(_line(row) for row in rows)
        if line != shown:
            say(line)
            shown = line
        if all(_over(row) for row in rows):
            return rows
        if not here:
            time.sleep(POLL_SECONDS)
        elif not reindex.complete(f"{socket.gethostname()}:{os.getpid()}", time.monotonic() + SLICE_SECONDS):
            reasons = [str(row["error"]) for row in map(_data, made) if row["error"] and not _over(row)]
            if reasons:
                raise CommandError(reasons[0])
            time.sleep(POLL_SECONDS)  # someone else works on them


def _data(generation: IndexGeneration) -> dict[str, object]:
    try:
        return selectors.generation_data(selectors.generation(generation.base, str(generation.pk)))
    except NotFound:
        raise CommandError("The index was removed while it was being built.") from None


def _over(row: dict[str, object]) -> bool:
    waits = row["state"] == State.READY and not (row["switch_when_ready"] and row["passed"])
    return waits or row["state"] in (State.LIVE, State.RETIRED, State.FAILED, State.CANCELLED)


def _line(row: dict[str, object]) -> str:
    text = f"{row['base']}: {row['state']}, {row['chunks_done']} of {row['chunks']} passages"
    left = row["seconds_left"]
    return f"{text}, about {left} s left" if left else text
