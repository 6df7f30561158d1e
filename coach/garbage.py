"""Python's search for garbage in cycles, without its long pauses.

Django, the SDKs of the models and the tables of the embedder leave hundreds of thousands of objects that live as long
as their process. Under load Python looked through all of them every five seconds, and nothing else ran meanwhile: 120
to 175 ms in the runner, 115 ms in the web process.
"""

from __future__ import annotations

import gc

# New objects between two looks at the youngest. Python's own 700 are a third of what one turn makes; in the web process
# it stays at that: with more, the garbage of its requests took 20 MB.
YOUNG_OF_RUNNER = 10_000


def spare_what_is_here() -> None:
    """Call it when a process has loaded what it needs: its objects are never looked through again."""
    gc.collect()
    gc.freeze()


def spare_what_is_shared() -> None:
    """Call it before a process forks: Python writes on each object it looks through, so a child that looks through what
    it inherited gets a copy of its own of all that (the worker: 38 to 80 MB). Nor does the parent look through it now:
    that would part it from children it has already."""
    gc.freeze()
