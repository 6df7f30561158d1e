"""Small local servers that stand for the model hub and for Ollama, with their real wire shapes."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLOCK = 100_000
CONTENT = b"GGUF" + b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(30_000))  # 960 kB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REVISION = "a" * 40


class Hub:
    """Files by path `/org/repo/file`, with range requests.

    Like the real one, `resolve` answers with a redirect that carries size and hash of the file; the store behind it
    does not. `cut`: drop the connection after so many bytes, so many times. `slow`: seconds between two blocks.
    `lies`: what the store sends has one wrong byte. `without_hash`: the hub does not say the hash.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = (0, 0)
        self.slow = 0.0
        self.lies = self.without_hash = False
        self.asked: list[tuple[str, str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_HubHandler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ranges(self) -> list[str]:
        return [wanted for method, path, wanted in self.asked if method == "GET" and path.startswith("/store/")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        if self.path.startswith("/api/models/"):
            return self._about(self.path.removeprefix("/api/models/").split("?")[0])
        if self.path.startswith("/store/"):
            return self._store(self.path.removeprefix("/store"))
        path = self.path.replace(f"/resolve/{REVISION}/", "/").replace("/resolve/main/", "/")
        content = self.hub.files.get(path)
        if content is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")
        sha256 = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": REVISION, "X-Linked-Size": str(len(content))}
        if not self.hub.without_hash:
            headers |= {"X-Linked-ETag": f'"{sha256}"', "ETag": f'"{sha256}"'}
        # To another host, as the real hub does: clients that only ask for the headers do not follow there.
        store = self.hub.url.replace("127.0.0.1", "localhost")
        self._send(302, {**headers, "Location": f"{store}/store{path}"}, b"")

    def _about(self, name: str) -> None:
        """`/api/models/ORG/REPO`, and the same files as `…/tree/REVISION` lists them."""
        repo = "/".join(name.split("/")[:2])
        files = {path: content for path, content in self.hub.files.items() if path.startswith(f"/{repo}/")}
        if not files:
            return self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}")
        siblings: list[dict[str, Any]] = [
            {
                "rfilename": path.removeprefix(f"/{repo}/"),
                "size": len(content),
                "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
                if path.endswith(".safetensors")
                else None,
            }
            for path, content in files.items()
        ]
        if "/tree/" in name:
            tree = [
                {
                    "type": "file",
                    "oid": "b" * 40,
                    "size": file["size"],
                    "path": file["rfilename"],
                    **({"lfs": {**file["lfs"], "oid": file["lfs"]["sha256"]}} if file["lfs"] else {}),
                }
                for file in siblings
            ]
            return self._send(200, {"Content-Type": "application/json"}, json.dumps(tree).encode())
        about = {"_id": "1", "id": repo, "modelId": repo, "sha": REVISION, "private": False, "siblings": siblings}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(about).encode())

    def _store(self, path: str) -> None:
        content = self.hub.files.get(path)
        if content is None:
            return self._send(404, {}, b"")
        if self.hub.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._send(206 if start else 200, headers, content[start:])

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        after, times = self.hub.cut
        if times and len(content) > after:
            self.hub.cut = (after, times - 1)
            content, self.close_connection = content[:after], True
        try:
            for start in range(0, len(content), BLOCK):
                self.wfile.write(content[start : start + BLOCK])
                time.sleep(self.hub.slow)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class OllamaServer:
    """`/api/tags`, `/api/pull`, `/api/delete` as Ollama's documentation shows them.

    `library`: bytes of each model that can be pulled. A pull goes on where an earlier connection was closed, in
    steps of a tenth. `refuses`: the error it reports in the stream. `ends`: it closes without "success".
    `holds_at`: with so many bytes here it waits until the test says that the client has `left`.
    """

    def __init__(self) -> None:
        self.tags: list[dict[str, Any]] = []
        self.library: dict[str, int] = {}
        self.here: dict[str, int] = {}
        self.refuses = ""
        self.ends = False
        self.holds_at, self.left = 0, threading.Event()
        self.slow = 0.0
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_OllamaHandler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, size: int = 2_019_393_189) -> None:
        details = {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "3.2B",
            "quantization_level": "Q4_K_M",
        }
        digest = "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72"
        modified = "2026-11-04T14:56:49.277302595-07:00"
        self.tags.append(
            {"name": name, "model": name, "modified_at": modified, "size": size, "digest": digest, "details": details}
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _OllamaHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, ollama: OllamaServer, *args: Any) -> None:
        self.ollama = ollama
        super().__init__(*args)

    def do_GET(self) -> None:
        self._whole(200, {"models": self.ollama.tags})

    def do_DELETE(self) -> None:
        name = self._body()["model"]
        found = [tag for tag in self.ollama.tags if tag["name"] == name]
        if not found:
            return self._whole(404, {"error": f"model '{name}' not found"})
        self.ollama.tags.remove(found[0])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        name = self._body()["model"]
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in self._pull(name):
                raw = (json.dumps(line) + "\n").encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
                time.sleep(self.ollama.slow)
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True

    def _pull(self, name: str) -> Any:
        yield {"status": "pulling manifest"}
        total = self.ollama.library.get(name)
        if self.ollama.refuses or total is None:
            yield {"error": self.ollama.refuses or "pull model manifest: file does not exist"}
            return
        digest = "sha256:dde5aa3fc5ffc17176b5e8bdc82f587b24b2678c6c66101bf7da77af9f7ccdff"
        progress = {"status": "pulling dde5aa3fc5ff", "digest": digest, "total": total}
        yield progress
        while self.ollama.here.get(name, 0) < total:
            self.ollama.here[name] = min(total, self.ollama.here.get(name, 0) + total // 10)
            yield {**progress, "completed": self.ollama.here[name]}
            if self.ollama.holds_at and self.ollama.here[name] >= self.ollama.holds_at:
                self.ollama.left.wait(30)  # what is written to a closed socket goes unnoticed for a while
                return
        if self.ollama.ends:
            return
        for status in ("verifying sha256 digest", "writing manifest", "removing unused layers"):
            yield {"status": status}
        self.ollama.add(name, total)
        yield {"status": "success"}

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.ollama.asked.append((self.command, self.path, found))
        return found

    def _whole(self, status: int, content: dict[str, Any]) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
