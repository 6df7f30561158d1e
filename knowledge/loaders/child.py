"""The process in which files are parsed: `python -m knowledge.loaders.child MEMORY CPU (PATH SUFFIX OUT)…`.

It limits itself before any parser is imported, knows no Django and no secrets, and writes JSON to each OUT:
`{"title", "text", "blocks": [[start, end, headings, page], …]}` or `{"error": code}`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from . import loader_for, sniff
from .errors import LoadError, OutOfMemory


def _limit(memory: int, cpu: int) -> None:
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(path: Path, suffix: str) -> dict[str, Any]:
    try:
        sniff.check(path, suffix)
        document = loader_for(suffix)(path)
    except LoadError as error:
        return {"error": error.code}
    except MemoryError:
        return {"error": OutOfMemory.code}
    blocks = [(block.start, block.end, block.headings, block.page) for block in document.blocks]
    return {"title": document.title, "text": document.text, "blocks": blocks}


def _write(out: str, result: dict[str, Any]) -> None:
    """Whole or not at all: the parent takes a file that is there for complete."""
    with open(f"{out}.part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(f"{out}.part", out)


def main(memory: str, cpu: str, *jobs: str) -> None:
    _limit(int(memory), int(cpu))
    for path, suffix, out in zip(jobs[::3], jobs[1::3], jobs[2::3], strict=True):
        _write(out, _read(Path(path), suffix))


if __name__ == "__main__":
    main(*sys.argv[1:])
