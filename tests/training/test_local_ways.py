"""What was trained here, as a transformers folder and in Ollama."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llm import adapters
from tests.training.trainer_jobs import job_folder
from training.finetune import trainer, trainer_model
from training.finetune.trainer_job import Reporter

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def adapter(tmp_path: Path, settings: Any) -> adapters.Adapter:
    """Trained on the tiny model, and installed."""
    import torch

    settings.DATA_DIR = tmp_path / "data"
    before, folder = signal.getsignal(signal.SIGTERM), job_folder(tmp_path, options={"epochs": 1})
    try:
        assert trainer._run(folder, Reporter(folder))[0] == "done"
    finally:
        signal.signal(signal.SIGTERM, before)
        torch.use_deterministic_algorithms(False)
    base = tmp_path / "tiny.gguf"
    return adapters.install(
        name="one",
        source=folder / "result",
        base=str(base),
        base_sha256=trainer_model.sha256(base),
        facts={"after": 1.0},
    )


def test_merged_it_is_a_folder_that_writes_as_base_and_adapter_do(adapter: adapters.Adapter, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out = tmp_path / "merged"
    call_command("adapters", "merge", "one", str(out))
    merged = AutoModelForCausalLM.from_pretrained(out)
    base = AutoModelForCausalLM.from_pretrained(str(adapter.base.parent), gguf_file=adapter.base.name)
    ids = torch.tensor([[2, 60, 61, 62, 4]])
    with torch.no_grad():
        plain = base(input_ids=ids).logits
        beside = PeftModel.from_pretrained(base, adapter.folder)(input_ids=ids).logits
        found = merged(input_ids=ids).logits
    assert torch.allclose(found, beside, atol=1e-4)
    assert not torch.allclose(found, plain, atol=1e-2)
    with pytest.raises(CommandError, match="is there already"):
        call_command("adapters", "merge", "one", str(out))
    adapter.base.unlink()
    with pytest.raises(CommandError, match=r"tiny\.gguf is not here"):
        call_command("adapters", "merge", "one", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


class Ollama(BaseHTTPRequestHandler):
    """/api/blobs and /api/create, as docs/api.md of Ollama has them."""

    blobs: dict[str, bytes]
    created: list[dict[str, Any]]

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.removeprefix("/api/blobs/") in self.blobs else 404)

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/blobs/"):
            digest = self.path.removeprefix("/api/blobs/")
            right = digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.blobs[digest] = data
            self._answer(201 if right else 400)
            return
        body = json.loads(data)
        known = [digest for part in ("files", "adapters") for digest in body[part].values()]
        if not all(digest in self.blobs for digest in known) or body["model"] == "refused":
            self._answer(400, {"error": "invalid model"})
            return
        self.created.append(body)
        self._answer(200, {"status": "success"})

    def _answer(self, status: int, body: Any = None) -> None:
        text = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def ollama(settings: Any) -> Iterator[type[Ollama]]:
    handler = type("Handler", (Ollama,), {"blobs": {}, "created": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.OLLAMA_BASE_URL = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


def test_ollama_gets_the_base_and_the_adapter(
    adapter: adapters.Adapter, ollama: type[Ollama], capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    call_command("adapters", "ollama", "one", "--as", "coach:1")
    assert capsys.readouterr().out.strip() == "ollama:coach:1"
    (made,) = ollama.created
    assert made["model"] == "coach:1"
    assert ollama.blobs[made["files"]["tiny.gguf"]] == adapter.base.read_bytes()
    assert ollama.blobs[made["adapters"]["adapter.gguf"]] == adapter.file.read_bytes()
    call_command("adapters", "ollama", "one")  # the files are there already
    assert len(ollama.blobs) == 2
    with pytest.raises(CommandError, match=r"Ollama refused the model: .*invalid model"):
        call_command("adapters", "ollama", "one", "--as", "refused")
    settings.OLLAMA_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="does not answer"):
        call_command("adapters", "ollama", "one")


@pytest.mark.django_db
def test_the_list_says_what_is_loaded(adapter: adapters.Adapter, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("adapters", "load", "one")
    capsys.readouterr()
    call_command("adapters", "list")
    assert capsys.readouterr().out == "llamacpp:lora/one  to be loaded  on tiny.gguf\n"
    call_command("adapters", "unload", "one")
    call_command("adapters", "list", "--json")
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["name"], found["loaded"], found["wanted"], found["after"]) == ("one", False, False, 1.0)
    with pytest.raises(CommandError, match="no adapter 'two'"):
        call_command("adapters", "unload", "two")
    with pytest.raises(CommandError, match="train it again"):
        call_command("adapters", "load", "two")
