"""`manage.py models list|pull|remove|test`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llm.catalogue import Entry, entries, models_dir
from tests.servers import ROOT, hear_ctrl_c

from .model_sources import CONTENT, SHA256, Hub, OllamaServer

pytestmark = pytest.mark.django_db(transaction=True)


def _call(*arguments: str) -> str:
    out = io.StringIO()
    call_command("models", *arguments, stdout=out)
    return out.getvalue()


def _json(*arguments: str) -> Any:
    return json.loads(_call(*arguments, "--json"))


def test_list(small_catalogue: dict[str, Entry], ollama_server: OllamaServer) -> None:
    ollama_server.add("llama3.2:3b")
    _call("pull", "known")
    found = _json("list")
    assert [(model["model"], model["bytes"]) for model in found["installed"]] == [
        ("llamacpp:known", len(CONTENT)),
        ("ollama:llama3.2:3b", 2_019_393_189),
    ]
    assert {entry["name"]: entry["installed"] for entry in found["catalogue"]} == {
        "known": True,
        "unknown": False,
        "other": False,
    }
    assert set(found["machine"]) == {"memory_bytes", "cores", "gpu_bytes", "usable_bytes"}
    text = _call("list")
    assert "llamacpp:known" in text
    assert "++ known" in text


def test_pull_and_remove(small_catalogue: dict[str, Entry], capfd: pytest.CaptureFixture[str]) -> None:
    path = models_dir() / "unknown.gguf"
    assert _json("pull", "unknown") == {"model": "llamacpp:unknown", "place": str(path)}
    assert "unknown: 100%" in capfd.readouterr().err, "progress goes to stderr"
    assert _json("remove", "unknown") == {"removed": "llamacpp:unknown"}
    assert not path.exists()


def test_pull_from_ollama(ollama_server: OllamaServer) -> None:
    ollama_server.library["llama3.2:3b"] = 10**9
    assert _json("pull", "ollama:llama3.2:3b") == {"model": "ollama:llama3.2:3b", "place": "ollama:llama3.2:3b"}


def test_pull_from_a_file_and_from_an_address(hub: Hub, tmp_path: Path) -> None:
    original = tmp_path / "some.gguf"
    original.write_bytes(CONTENT)
    hub.files["/files/own.gguf"] = CONTENT
    address = f"{hub.url}/store/files/own.gguf"
    assert _json("pull", "mine", "--from", str(original))["model"] == "llamacpp:mine.gguf"
    assert _json("pull", "theirs", "--from", address, "--sha256", SHA256.upper())["model"] == "llamacpp:theirs.gguf"
    assert (models_dir() / "theirs.gguf").read_bytes() == CONTENT
    wrong = hashlib.sha256(b"other").hexdigest()
    for arguments, sentence in (
        (("x", "--from", address), "needs its --sha256"),
        (("x", "--from", address, "--sha256", "abc"), "64 hexadecimal digits"),
        (("x", "--from", address, "--sha256", wrong), "so it was deleted"),
        (("a/b", "--from", str(original)), "letters, digits, dots and dashes"),
        (("qwen3-4b", "--from", str(original)), "is a name of the catalogue"),
        (("x", "--from", str(tmp_path)), "cannot be read"),
    ):
        with pytest.raises(CommandError, match=sentence):
            _call("pull", *arguments)
    assert sorted(path.name for path in models_dir().iterdir() if not path.name.startswith(".")) == [
        "mine.gguf",
        "theirs.gguf",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pull", "gpt-5"), "'gpt-5' is not known; take a name from `manage.py models list`"),
        (("pull", "ollama:gone"), "library has no model gone"),
        (("remove", "known"), "llamacpp:known is not installed on this machine"),
        (("test", "known"), "llamacpp:known is not installed on this machine"),
    ],
)
def test_errors_are_one_sentence(
    small_catalogue: dict[str, Entry], ollama_server: OllamaServer, arguments: tuple[str, str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence) as caught:
        _call(*arguments)
    assert "\n" not in str(caught.value)
    assert caught.value.returncode == 1


def test_ctrl_c_leaves_a_part_that_the_next_start_goes_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.files["/org/repo/tiny.gguf"], hub.slow = CONTENT, 0.3
    environment = {
        **os.environ,
        "COACH_DATA_DIR": str(tmp_path / "data"),
        "COACH_CACHE_DIR": str(tmp_path / "cache"),
        "COACH_OFFLINE": "0",
    }
    command = [sys.executable, "manage.py", "models", "pull", "llamacpp:org/repo/tiny.gguf", "--json"]
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c
    )
    deadline = time.monotonic() + 60
    while not hub.ranges and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.7)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, b"")
    assert b"CommandError: Stopped; started again it goes on from here." in err
    assert b"Traceback" not in err
    hub.slow = 0.0
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert json.loads(done.stdout)["model"] == "llamacpp:org/repo/tiny.gguf"
    assert hub.ranges[-1].startswith("bytes="), "the second start goes on"
    assert (tmp_path / "cache" / "models" / "org--repo--tiny.gguf").read_bytes() == CONTENT


@pytest.mark.real_model
def test_a_real_model_is_tried_out() -> None:
    if not (models_dir() / entries()["smollm2-135m"].file).is_file():
        pytest.skip("no model file; fetch it with `manage.py fetchmodels smollm2-135m`")
    found = _json("test", "smollm2-135m")
    assert set(found) == {"model", "answer", "seconds", "first_token_seconds", "tokens", "tokens_per_second"}
    assert found["tokens_per_second"] > 1
