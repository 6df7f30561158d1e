"""Measures of indexing: the worker against the embedder alone, and a book of 10,000 pages."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from random import Random
from typing import Any

from . import processes
from .application import ROOT, Application, ApplicationFailed
from .chat import Chat, added, errors
from .pdf import write_pdf
from .report import Row, median, percentile

PAGES = 10_000
POLL_SECONDS = 0.1
MANY, FILE_BYTES, AT_ONCE = 1000, 6000, 20  # AT_ONCE: files in a request, as static/admin-coach/upload.js sends them


def _new_base(application: Application, name: str) -> str:
    return str(application.helper("base", f"bench-{name}-{uuid.uuid4().hex[:6]}"))


def measure_index(application: Application) -> list[Row]:
    """(f) chunks a second through upload, worker, SQL and Chroma, against the embedder with the same texts."""
    # A line of its own makes each file new to this installation, so that nothing is known by its hash.
    mark = f"\n\n{uuid.uuid4()}\n".encode()
    paths = sorted((ROOT / "starter_knowledge").rglob("*.md"))
    small = {"-".join(path.parts[-3:]): path.read_bytes() + mark for path in paths}
    # Read as plain text, a book has no headings to cut at: its passages are as long as they may be.
    book = {"book.txt": b"\n\n".join(path.read_bytes().replace(b"#", b"") for path in paths) + mark}
    return [
        *_measure_files(application, "small files", small),
        *_measure_files(application, "files of 6 kB", _files(MANY // 2)),
        *_measure_files(application, "one book", book),
    ]


def _files(count: int) -> dict[str, bytes]:
    """Markdown files of about 6 kB, each new to this installation: articles in other orders."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "starter_knowledge").rglob("*.md"))]
    random = Random(uuid.uuid4().hex)
    made = {}
    for number in range(count):
        text = f"# Notes {uuid.uuid4()}\n\n"
        while len(text.encode()) < FILE_BYTES:
            text += random.choice(texts)[: FILE_BYTES - len(text)] + "\n\n"
        made[f"notes-{number}.md"] = text.encode()
    return made


def measure_drop(application: Application) -> list[Row]:
    """(h) a thousand files dropped at once, as the upload page sends them: what chat and page feel of it."""
    person = application.people(1, staff=True)
    chat, token = Chat(application), person[0].token
    chat.run(chat.plan(person, 3))
    quiet = median(added(chat.run(chat.plan(person, 30))))
    base, files = _new_base(application, "drop"), list(_files(MANY).items())
    uploads = threading.Thread(target=_drop, args=(application, base, files, token))
    started = time.perf_counter()
    uploads.start()
    slow, wrong, pages = list[float](), list[str](), list[float]()
    while uploads.is_alive() or len(slow) < 60:
        result = chat.run(chat.plan(person, 10))
        slow += added(result)
        wrong += errors(result)
        before = time.perf_counter()
        application.call("GET", f"/api/v1/knowledge-bases/{base}/progress", token=token)
        pages.append(1000 * (time.perf_counter() - before))
    uploads.join()
    note = f"quiet {quiet:.0f} ms, meanwhile {median(slow):.0f} ms, {len(slow)} turns, {len(wrong)} errors"
    load = processes.load_average()
    rows = [
        Row(
            f"chat while {MANY} files of 6 kB come: first token",
            median(slow) / quiet,
            "times",
            1.5,
            note=note,
            load=load,
        ),
        Row("… a request for the progress, p95", percentile(pages, 95), "ms", note=f"{len(pages)} requests", load=load),
    ]
    _wait(application, base, token)
    rows.append(Row("… until all are searchable", time.perf_counter() - started, "s", load=load))
    return rows


def _drop(application: Application, base: str, files: list[tuple[str, bytes]], token: str) -> None:
    for at in range(0, len(files), AT_ONCE):
        application.upload(base, dict(files[at : at + AT_ONCE]), token=token)


def _measure_files(application: Application, kind: str, files: dict[str, bytes]) -> list[Row]:
    token = application.people(1, staff=True)[0].token
    base = _new_base(application, "index")
    before, started = processes.cpu_seconds(application.pid), time.perf_counter()
    _drop(application, base, list(files.items()), token)
    _wait(application, base, token)
    wall = time.perf_counter() - started  # before a new Python is started to look at the states
    cpu = processes.spent(before, processes.cpu_seconds(application.pid))
    states = application.wait_for_documents(base)
    texts = application.helper("chunks", base)
    load = processes.load_average()
    alone = application.helper("embed", "passage", given=json.dumps(texts))
    rate, best = len(texts) / wall, len(texts) / alone["wall"]
    shares = ", ".join(f"{name} {1000 * seconds / len(texts):.1f}" for name, seconds in cpu.items() if seconds > 0.05)
    note = (
        f"{len(texts)} chunks in {wall:.1f} s; alone {best:.1f}/s; CPU ms a chunk: {shares}; "
        f"embedder alone {1000 * alone['cpu'] / len(texts):.1f}; {states}"
    )
    return [
        Row(f"indexing, {kind}", rate, "chunks/s", note=note, load=load),
        Row(f"share of what the embedder alone does, {kind}", 100 * rate / best, "%", 90, False, load=load),
    ]


def _wait(application: Application, base: str, token: str, seconds: float = 600.0) -> None:
    """Poll the process that runs anyway: a new Python each second would disturb the measure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = application.call("GET", f"/api/v1/knowledge-bases/{base}/progress", token=token)
        if not found["documents_waiting"]:
            break
        # As often as the page asks, and more often at the end.
        time.sleep(1.0 if (found["seconds_left"] or 0) > 3 else 0.2)


class Watch(threading.Thread):
    """Looks for the extraction's child while a document is read: its seconds and its largest memory."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self.peak_mb = 0.0
        self.first = self.last = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            for process in processes.tree(self._root):
                if process.name == "extraction":
                    self.first = self.first or time.perf_counter()
                    self.last = time.perf_counter()
                    self.peak_mb = max(self.peak_mb, processes.peak_mb(process.pid))
            self.done.wait(POLL_SECONDS)


def measure_pdf(application: Application, folder: Path) -> list[Row]:
    """(g) a book of 10,000 pages: seconds and memory of its extraction, and what chat feels of it."""
    person = application.people(1, staff=True)
    chat = Chat(application)
    chat.run(chat.plan(person, 3))
    quiet = median(added(chat.run(chat.plan(person, 15))))
    book = folder / "book.pdf"
    write_pdf(book, PAGES)
    base, watch = _new_base(application, "pdf"), Watch(application.pid)
    watch.start()
    document = application.upload(base, {"book.pdf": book.read_bytes()}, token=person[0].token)[0]
    plans = [chat.plan(person, 10) for _ in range(30)]
    busy: dict[str, list[float]] = {"extraction": [], "indexing": []}
    wrong: list[str] = []
    state: dict[str, Any] = {}
    for plan in plans:
        stage = "extraction" if not state.get("chunks") else "indexing"
        result = chat.run(plan)
        busy[stage] += added(result)
        wrong += errors(result)
        state = application.call("GET", f"/api/v1/documents/{document['id']}", token=person[0].token)
        if state["state"] == "failed":
            raise ApplicationFailed(f"The book was not read: {state['error']}")
        if len(busy["indexing"]) >= 30 or state["state"] == "ready":
            break
    watch.done.set()
    watch.join()
    application.call("DELETE", f"/api/v1/documents/{document['id']}", token=person[0].token)
    load = processes.load_average()
    note = f"{book.stat().st_size / 1e6:.1f} MB; chat quiet {quiet:.0f} ms, {len(wrong)} errors"
    rows = [
        Row(f"reading a PDF of {PAGES} pages", watch.last - watch.first, "s", 60, note=note, load=load),
        Row("largest memory of the reading process", watch.peak_mb, "MB", 400, load=load),
    ]
    for stage, values in busy.items():
        slower = median(values) / quiet if quiet and values else 0.0
        stage_note = f"{median(values):.0f} ms added, {len(values)} turns"
        rows.append(
            Row(f"chat during its {stage}: first token against quiet", slower, "times", 1.5, note=stage_note, load=load)
        )
    return rows
