"""A small real server that speaks OpenAI's files and fine-tuning endpoints, for the real SDK over a real socket.

What a test wants to happen next is said with `faults`: the next request whose "METHOD /path" begins with the key is
answered by it: an HTTP status, or "cut" (the connection is closed before anything is done) or "lost" (it is done, but
the answer never arrives).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ERRORS = {
    400: {"message": "Invalid file format.", "type": "invalid_request_error", "code": "invalid_training_file"},
    401: {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"},
    403: {"message": "You have insufficient permissions.", "type": "invalid_request_error", "code": None},
    429: {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"},
    402: {"message": "You exceeded your current quota.", "type": "insufficient_quota", "code": "insufficient_quota"},
}


@dataclass
class Server:
    """What is kept there. `seen` are the requests as "METHOD /path"; `advance` moves jobs one state on."""

    url: str = ""
    key: str = "sk-test"
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    checkpoints: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def advance(self, status: str, **values: Any) -> None:
        for job in self.jobs.values():
            job |= {"status": status, **values}

    def tell(self, message: str, *, level: str = "info", **data: Any) -> None:
        for events in self.events.values():
            kind = "metrics" if data else "message"
            number = len(events) + 1
            events.append(
                {"object": "fine_tuning.job.event", "id": f"ftevent-{number}", "created_at": 1_790_000_000 + number}
                | {"level": level, "message": message, "type": kind, "data": data or None}
            )

    def train(self, steps: int, *, total: int) -> None:
        for step in range(1, steps + 1):
            held_out = {"full_valid_loss": 2.5 - step / 20} if step % 5 == 0 else {}
            self.tell(f"Step {step}/{total}", step=step, train_loss=2.5 - step / 10, total_steps=total, **held_out)

    def count(self, start: str) -> int:
        return sum(one.startswith(start) for one in self.seen)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Server

    def log_message(self, *_arguments: Any) -> None:
        return None

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        path = urlsplit(self.path).path
        self.state.seen.append(f"{method} {path}")
        fault = self._fault(f"{method} {path}")
        if fault == "cut":
            self._drop()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if isinstance(fault, int):
            self._send(429 if fault == 402 else fault, {"error": ERRORS.get(fault, {"message": "It broke."})})
        elif self.headers.get("Authorization") != f"Bearer {self.state.key}":
            self._send(401, {"error": ERRORS[401]})
        else:
            status, found = self._do(method, path, body)
            if fault == "lost":
                self._drop()
            else:
                self._send(status, found)

    def _fault(self, line: str) -> Any:
        for start, faults in self.state.faults.items():
            if line.startswith(start) and faults:
                return faults.pop(0)
        return None

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # --- endpoints -------------------------------------------------------------------------------

    def _do(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        parts = path.removeprefix("/v1/").split("/")
        if parts[0] == "files":
            return self._files(method, parts[1:], body)
        if parts[:2] == ["fine_tuning", "jobs"]:
            return self._jobs(method, parts[2:], body)
        return 404, {"error": {"message": "Unknown request URL."}}

    def _files(self, method: str, rest: list[str], body: bytes) -> tuple[int, dict[str, Any]]:
        files = self.state.files
        if method == "POST":
            name, content, purpose = multipart(self.headers["Content-Type"], body)
            file_id = f"file-{len(self.state.contents) + 1}"
            files[file_id] = {"id": file_id, "object": "file", "bytes": len(content), "created_at": 1_790_000_000}
            files[file_id] |= {"filename": name, "purpose": purpose, "status": "processed"}
            self.state.contents[file_id] = content
            return 200, files[file_id]
        if not rest:
            return 200, self._page(list(files.values())[::-1])
        if rest[0] not in files:
            return 404, {"error": {"message": f"No such File object: {rest[0]}"}}
        if method == "DELETE":
            del files[rest[0]]
            return 200, {"id": rest[0], "object": "file", "deleted": True}
        return 200, files[rest[0]]

    def _jobs(self, method: str, rest: list[str], body: bytes) -> tuple[int, dict[str, Any]]:
        jobs = self.state.jobs
        if method == "POST" and not rest:
            return self._create(json.loads(body))
        if not rest:
            return 200, self._page(list(jobs.values())[::-1])
        if rest[0] not in jobs:
            return 404, {"error": {"message": f"Could not find fine tune: {rest[0]}"}}
        job = jobs[rest[0]]
        if rest[1:] == ["cancel"]:
            if job["status"] in ("succeeded", "failed", "cancelled"):
                return 400, {"error": {"message": "Job has already completed."}}
            job["status"] = "cancelled"
        elif rest[1:] == ["events"]:
            return 200, self._page(self.state.events[rest[0]][::-1])
        elif rest[1:] == ["checkpoints"]:
            return 200, self._page(self.state.checkpoints.get(rest[0], []))
        return 200, job

    def _create(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if request["training_file"] not in self.state.files:
            return 400, {"error": {"message": "training_file does not exist", "code": "invalid_training_file"}}
        self.state.requests.append(request)
        job_id = f"ftjob-{len(self.state.jobs) + 1}"
        self.state.events[job_id] = []
        self.state.jobs[job_id] = {
            "id": job_id,
            "object": "fine_tuning.job",
            "created_at": 1_790_000_000,
            "finished_at": None,
            "estimated_finish": None,
            "error": None,
            "fine_tuned_model": None,
            "hyperparameters": {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"},
            "model": request["model"],
            "organization_id": "org-1",
            "result_files": [],
            "seed": request.get("seed", 0),
            "status": "validating_files",
            "trained_tokens": None,
            "training_file": request["training_file"],
            "validation_file": request.get("validation_file"),
            "method": request.get("method"),
            "metadata": request.get("metadata"),
        }
        return 200, self.state.jobs[job_id]

    def _page(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        query = parse_qs(urlsplit(self.path).query)
        limit = int(query.get("limit", ["20"])[0])
        if after := query.get("after", [""])[0]:
            items = items[[one["id"] for one in items].index(after) + 1 :]
        page = items[:limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return {"object": "list", "data": page, "has_more": len(items) > limit, **ends}


def multipart(kind: str, body: bytes) -> tuple[str, bytes, str]:
    """Name and content of the file, and the purpose."""
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    name, content, purpose = "", b"", ""
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _blank, text = part.strip(b"\r\n").partition(b"\r\n\r\n")
        if b'name="purpose"' in head:
            purpose = text.decode()
        elif found := re.search(rb'filename="([^"]*)"', head):
            name, content = found.group(1).decode(), text + b"\n"
    return name, content, purpose


@contextmanager
def openai_server() -> Iterator[Server]:
    state = Server()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
