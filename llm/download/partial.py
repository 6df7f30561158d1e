"""The unfinished file: `NAME.part`, and beside it a journal of what in it is known to be good.

A part is journalled after its bytes are on the disk, so after a crash the file is cut back to the
journal and goes on from there. Only a whole, checked file ever gets its real name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO


class Partial:
    """`done` parts of the source called `source` make the first `size` bytes."""

    def __init__(self, target: Path, source: str) -> None:
        self.path = target.with_name(target.name + ".part")
        self._journal = target.with_name(target.name + ".part.json")
        self._source = source
        self.done = 0
        self.size = 0
        self._take_over()

    def append_to(self) -> BinaryIO:
        """The file, open behind its last good byte; the caller closes it."""
        if not self.path.exists():
            self.path.touch()
        file = self.path.open("r+b")
        file.truncate(self.size)
        file.seek(self.size)
        return file

    def commit(self, file: BinaryIO, *, done: int) -> None:
        """What was written to `file` so far is good; `done` parts are complete."""
        file.flush()
        os.fsync(file.fileno())
        self.done, self.size = done, file.tell()
        written = self._journal.with_suffix(".new")
        written.write_text(json.dumps({"source": self._source, "done": self.done, "size": self.size}), encoding="utf-8")
        os.replace(written, self._journal)

    def restart(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
        self.done = self.size = 0

    def move_to(self, target: Path) -> None:
        os.replace(self.path, target)
        self._journal.unlink(missing_ok=True)

    def _take_over(self) -> None:
        """What an earlier run of the same source left; of another source only when new bytes come is it dropped."""
        try:
            found = json.loads(self._journal.read_text(encoding="utf-8"))
            done, size = int(found["done"]), int(found["size"])
            good = found["source"] == self._source and 0 <= size <= self.path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return
        if good:
            self.done, self.size = done, size
