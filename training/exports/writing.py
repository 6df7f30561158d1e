"""Writes an export and its manifest: under temporary names first, so that nothing half-written has the real one."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from coach.provenance import APP

from ..filters import TurnFilter
from ..models import Export
from . import openai_rules
from .errors import CannotWrite, NothingPasses
from .kinds import KINDS, Kind
from .rows import not_mapped
from .tally import Tally

AT_ONCE = 256  # lines between two writes and two looks at whether somebody cancelled
MEBIBYTE = 1024 * 1024
MANIFEST = ".manifest.json"
Seen = Callable[[int, int], None]


@dataclass(slots=True)
class _Written:
    """The file as it grows. turns: in it; ids: their ids for the manifest, as a second file."""

    file: IO[bytes]
    ids: IO[bytes]
    sha256: Any = field(default_factory=hashlib.sha256)
    ids_sha256: Any = field(default_factory=hashlib.sha256)
    rows: int = 0
    turns: int = 0
    size: int = 0

    def add(self, data: bytes) -> None:
        self.sha256.update(data)
        self.file.write(data)
        self.size += len(data)

    def add_ids(self, ids: list[str]) -> None:
        if not ids:
            return
        self.ids_sha256.update("".join(f"{one}\n" for one in ids).encode())
        before = b',\n"' if self.turns else b'\n"'
        self.ids.write(before + '",\n"'.join(ids).encode() + b'"')
        self.turns += len(ids)


def write(*, kind: str, wanted: TurnFilter, path: Path, seen: Seen | None = None) -> dict[str, Any]:
    """The file at `path`, the manifest beside it; gives the manifest without the ids.

    seen(done, total) is told of turns some times a second and may raise to end it. Raises NothingPasses, CannotWrite;
    whatever is raised, nothing is left of the new file and an old one stays as it was.
    """
    with not_mapped():
        return _write(kind, wanted, path, seen or (lambda done, total: None))


def _write(kind: str, wanted: TurnFilter, path: Path, seen: Seen) -> dict[str, Any]:
    counts = wanted.counts()
    total = counts.pop("")
    if not total:
        raise NothingPasses(counts)
    tally = Tally()
    try:
        with ExitStack() as stack:
            file = stack.enter_context(_beside(path))
            ids = stack.enter_context(_beside(path))
            made = _Written(file, ids)
            _fill(made, KINDS[kind], wanted, tally, seen, total)
            if not made.rows:
                raise NothingPasses(counts | tally.left_out)
            manifest = _manifest(kind, wanted, path, made, tally, counts)
            listing = stack.enter_context(_beside(path))
            _write_manifest(listing, manifest, ids)
            for open_file, target in ((listing, manifest_path(path)), (file, path)):
                open_file.flush()
                os.fsync(open_file.fileno())
                os.replace(open_file.name, target)
    except OSError as error:
        raise CannotWrite(str(path), error) from error
    return manifest


def manifest_path(path: Path) -> Path:
    return path.with_name(path.name + MANIFEST)


@contextmanager
def _beside(path: Path) -> Iterator[Any]:
    """A file in the same folder for a while; gone afterwards, unless it got another name."""
    prefix = f".{path.name[:60]}."
    with tempfile.NamedTemporaryFile(
        "w+b", MEBIBYTE, prefix=prefix, suffix=".part", dir=path.parent, delete=False
    ) as f:
        try:
            yield f
        finally:
            Path(f.name).unlink(missing_ok=True)


def _fill(made: _Written, kind: Kind, wanted: TurnFilter, tally: Tally, seen: Seen, total: int) -> None:
    if kind.head:
        made.add(kind.head + kind.end)
    lines: list[bytes] = []
    ids: list[str] = []
    for line, turns in kind.lines(wanted, tally):
        lines += (line, kind.end)
        ids += turns
        made.rows += 1
        if len(lines) >= 2 * AT_ONCE:
            made.add(b"".join(lines))
            made.add_ids(ids)
            seen(min(tally.read, total), total)
            lines, ids = [], []
    made.add(b"".join(lines))
    made.add_ids(ids)
    seen(tally.read, max(total, tally.read))


def _manifest(
    kind: str, wanted: TurnFilter, path: Path, made: _Written, tally: Tally, counts: dict[str, int]
) -> dict[str, Any]:
    both = {code: counts.get(code, 0) + tally.left_out[code] for code in (*counts, *tally.left_out)}
    left_out = {code: n for code, n in both.items() if n}
    found = {
        "format": 1,
        "kind": kind,
        "file": path.name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "app": APP,
        "sha256": made.sha256.hexdigest(),
        "bytes": made.size,
        "rows": made.rows,
        "filter": wanted.to_json(),
        "counts": {"in": made.turns + sum(left_out.values()), "out": made.turns, "left_out": left_out},
        "ids_sha256": made.ids_sha256.hexdigest(),
    }
    return found | ({"openai": _openai(made, tally)} if kind == Export.Kind.OPENAI else {})


def _openai(made: _Written, tally: Tally) -> dict[str, Any]:
    return {
        "tokens": tally.tokens,
        "longest": tally.longest,
        "problems": list(openai_rules.problems(made.rows, made.size)),
        "costs": openai_rules.costs(tally.tokens),
    }


def _write_manifest(file: IO[bytes], manifest: dict[str, Any], ids: IO[bytes]) -> None:
    """As JSON; the ids, of which there may be a million, are copied from their own file."""
    head = orjson.dumps(manifest, option=orjson.OPT_INDENT_2).removesuffix(b"\n}")
    file.write(head + b',\n  "ids": [')
    ids.seek(0)
    shutil.copyfileobj(ids, file)
    file.write(b"\n]}\n")
