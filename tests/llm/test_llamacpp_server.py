"""The embedded server's own process: what it needs to start, and how many threads it takes."""

from __future__ import annotations

import importlib.metadata
import json
import os
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


# --- the server that was built here --------------------------------------------------------------

FAKE = """#!{python}
import json, os, sys
json.dump([sys.argv[1:], os.environ.get("GOMP_SPINCOUNT")], open({out!r}, "w"))
"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """As launcher/native.sh leaves it; it writes down how it was started."""
    folder = tmp_path / "native" / importlib.metadata.version("xllamacpp")
    folder.mkdir(parents=True)
    (folder / "llama-server").write_text(FAKE.format(python=sys.executable, out=str(tmp_path / "started.json")))
    (folder / "llama-server").chmod(0o700)
    (folder / "processor").write_text(llamacpp_server.processor() + "\n")
    (tmp_path / "key").write_text("secret")
    (tmp_path / "tiny.gguf").write_bytes(b"not a model")
    return tmp_path


def _start(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(folder / "tiny.gguf"), "--port", "8099"]
    command += ["--api-key-file", str(folder / "key"), "--parallel", "2", "--ctx", "1024", "--threads", "1"]
    environment = {**os.environ, "COACH_CACHE_DIR": str(folder)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_it_takes_the_place_of_the_wheels_with_the_same_settings(built: Path) -> None:
    assert _start(built).returncode == 0
    given, spins = json.loads((built / "started.json").read_text())
    options = dict(zip(given[3::2], given[4::2], strict=True))
    assert given[:3] == ["--no-ui", "--no-cors-credentials", "--slots"]
    assert (options["--host"], options["--port"], spins) == ("127.0.0.1", "8099", "1000")
    assert (options["--api-key-file"], options["--model"]) == (str(built / "key"), str(built / "tiny.gguf"))
    assert (options["--parallel"], options["--ctx-size"], options["--batch-size"]) == ("2", "2048", "128")
    assert "secret" not in given  # the key is in nobody's list of processes


def test_what_was_built_for_another_processor_is_left_alone(built: Path) -> None:
    next((built / "native").iterdir()).joinpath("processor").write_text("another")
    assert _start(built).returncode == 1  # the wheel's own, which refuses this file
    assert not (built / "started.json").exists()
