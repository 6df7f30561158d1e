"""The child process that parses, and the zygote it is forked from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from knowledge.loaders import errors, sandbox
from knowledge.loaders.types import LoadedDocument


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is never read to its end: nobody writes into this pipe."""
    monkeypatch.setattr(sandbox, "BEAT_SECONDS", 0.01)
    path = tmp_path / "endless"
    os.mkfifo(path)
    return path


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note"
    path.write_text("# Title\n\n## Part\n\nText", encoding="utf-8")
    return path


def zygote() -> int:
    assert sandbox._zygote._process is not None
    return sandbox._zygote._process.pid


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_many_files_are_read_and_each_error_is_named(tmp_path: Path, note: Path) -> None:
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"nothing")
    found = sandbox.load_many([(note, ".md"), (bad, ".pdf")])
    assert isinstance(found[0], LoadedDocument)
    assert (found[0].title, found[0].blocks[0].headings) == ("Title", ("Part",))
    assert isinstance(found[1], errors.WrongType)


def test_a_child_that_dies_spoils_no_other_file(tmp_path: Path, note: Path) -> None:
    """The first file takes more memory than allowed; the second one is read all the same."""
    hungry = tmp_path / "hungry"
    hungry.write_bytes(b"word " * 20_000_000)
    found = sandbox.load_many([(hungry, ".txt"), (note, ".txt")], memory=200 * 1024 * 1024)
    assert isinstance(found[0], errors.OutOfMemory)
    assert isinstance(found[1], LoadedDocument)


def test_what_takes_too_long_is_ended(endless: Path, note: Path) -> None:
    found = sandbox.load_many([(endless, ".txt"), (note, ".txt")], wall=1.0)
    assert isinstance(found[0], errors.TimedOut)
    assert isinstance(found[1], LoadedDocument)


def test_the_lease_is_renewed_while_the_child_works(endless: Path) -> None:
    beats: list[int] = []
    with pytest.raises(errors.TimedOut):
        sandbox.load(endless, ".txt", beat=lambda: beats.append(1), wall=0.5)
    assert beats


def test_a_lost_lease_ends_the_child(endless: Path, note: Path) -> None:
    class Lost(Exception):
        pass

    def beat() -> None:
        raise Lost

    with pytest.raises(Lost):
        sandbox.load(endless, ".txt", beat=beat)
    children = Path(f"/proc/{zygote()}/task/{zygote()}/children")
    assert children.read_text().split() == []
    assert sandbox.load(note, ".txt").text.startswith("# Title")


def test_one_zygote_serves_every_group_and_is_started_again(note: Path) -> None:
    sandbox.load(note, ".md")
    first = zygote()
    sandbox.load(note, ".md")
    assert zygote() == first
    os.kill(first, signal.SIGKILL)
    assert sandbox.load(note, ".md").title == "Title"
    assert zygote() != first


def test_a_zygote_that_dies_in_the_middle_costs_nothing(endless: Path, note: Path) -> None:
    def beat() -> None:
        if note.exists():
            os.replace(note, endless)
            os.kill(zygote(), signal.SIGKILL)

    assert sandbox.load(endless, ".txt", beat=beat).text.startswith("# Title")


def test_nothing_is_left_when_the_worker_is_killed(endless: Path) -> None:
    code = (
        "import sys, django; django.setup(); from pathlib import Path; from knowledge.loaders import sandbox; "
        f"sandbox.load(Path({str(endless)!r}), '.txt')"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=sandbox.PROJECT, env=os.environ | {"PYTHONPATH": "."})

    def below(pid: int) -> list[int]:
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    try:
        wait_until(lambda: any(below(child) for child in below(worker.pid)))
        started = [pid for child in below(worker.pid) for pid in (child, *below(child))]
    finally:
        worker.kill()
        worker.wait()

    def is_running(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        except OSError:
            return False

    wait_until(lambda: not any(is_running(pid) for pid in started))


def test_a_forked_worker_starts_a_zygote_of_its_own(note: Path) -> None:
    """It would keep the parent's alive with its copy of the socket."""
    sandbox.load(note, ".md")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if sandbox._zygote._control is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_child_knows_no_django() -> None:
    code = (
        "import sys, knowledge.loaders.child as child, knowledge.loaders.zygote; "
        "from knowledge.loaders import REGISTRY; "
        "[child.loader_for(suffix) for suffix in REGISTRY]; print('django' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sandbox.PROJECT)
    assert done.stdout.strip() == "False"


def test_the_child_has_no_secrets(note: Path) -> None:
    sandbox.load(note, ".md")
    environment = Path(f"/proc/{zygote()}/environ").read_bytes()
    assert {entry.partition(b"=")[0] for entry in environment.split(b"\0") if entry} <= {
        b"PATH",
        b"PYTHONPATH",
        b"LC_ALL",
        b"LC_CTYPE",
    }
