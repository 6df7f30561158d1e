"""What runs in a process of its own for each group of files: limits first, then the parser.

It knows no Django and no secrets, and writes JSON to each file named for it:
`{"title", "text", "blocks": [[start, end, headings, page], …]}` or `{"error": code}`. A page that is to be drawn
becomes a PNG file, or that JSON with an error.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import loader_for, sniff
from .errors import LoadError, OutOfMemory


def run(request: Mapping[str, Any]) -> None:
    """request: jobs [[path, suffix, out], …], pictures [[path, page, out], …] of PDF files, memory (bytes),
    cpu (seconds), folder, environment {name: value}."""
    os.environ.update(request["environment"], TMPDIR=request["folder"])
    tempfile.tempdir = request["folder"]
    _limit(request["memory"], request["cpu"])
    for path, suffix, out in request["jobs"]:
        _write(out, _read(Path(path), suffix))
    for path, page, out in request["pictures"]:
        _write(out, _draw(Path(path), page))


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


def _draw(path: Path, page: int) -> dict[str, Any] | bytes:
    from .pdf_picture import draw

    try:
        return draw(path, page)
    except LoadError as error:
        return {"error": error.code}
    except MemoryError:
        return {"error": OutOfMemory.code}


def _write(out: str, result: dict[str, Any] | bytes) -> None:
    """Whole or not at all: the worker takes a file that is there for complete."""
    if isinstance(result, bytes):
        Path(f"{out}.part").write_bytes(result)
    else:
        with open(f"{out}.part", "w", encoding="utf-8") as file:
            json.dump(result, file)
    os.replace(f"{out}.part", out)
