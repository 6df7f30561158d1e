"""The embedded server's own process: what it needs to start, and how many threads it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llm import llamacpp_server
from tests.servers import ROOT, free_port


def test_never_more_threads_than_a_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert llamacpp_server.cores() >= 1
    monkeypatch.setattr(llamacpp_server, "_quota", lambda: 1)
    assert llamacpp_server.cores() == 1


@pytest.mark.parametrize(
    ("model", "key", "sentence"),
    [
        ("missing.gguf", "k", "is missing; fetch it with `manage.py fetchmodels`."),
        ("key", "k", "could not start"),
        ("key", "", "is empty; the server never runs without a key."),
        ("key", None, "cannot be read"),
    ],
)
def test_it_says_in_one_sentence_why_it_cannot_start(
    tmp_path: Path, model: str, key: str | None, sentence: str
) -> None:
    if key is not None:
        (tmp_path / "key").write_text(key)
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(tmp_path / model)]
    command += ["--port", str(free_port()), "--api-key-file", str(tmp_path / "key")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 1
    # llama.cpp writes its own lines from another thread, before or after ours.
    assert any(line.rstrip().endswith(".") and sentence in line for line in found.stderr.splitlines())
