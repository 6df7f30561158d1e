"""The trainer as a process: killed, stopped, started twice; and what it leaves, in the real llama.cpp server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.servers import ROOT, free_port
from tests.training.trainer_jobs import events, job_folder, spawn, stop, until
from training.finetune import trainer, trainer_model
from training.finetune.trainer_job import Reporter, Spec

pytestmark = pytest.mark.filterwarnings("ignore")


def last_step(folder: Path) -> int:
    return max((event["step"] for event in events(folder, "step")), default=0)


def test_killed_and_stopped_in_the_middle_it_ends_with_the_same_adapter(tmp_path: Path) -> None:
    options = {"epochs": 30}  # 90 steps
    whole = job_folder(tmp_path, name="whole", options=options)
    assert spawn(whole).wait(120) == 0
    assert events(whole, "end")[0]["outcome"] == "done"

    folder = job_folder(tmp_path, name="cut", options=options)
    child = spawn(folder)
    until(child, lambda: last_step(folder) >= 11)
    assert stop(child, signal.SIGKILL) == -signal.SIGKILL
    killed_at = last_step(folder)
    assert killed_at < 90

    child = spawn(folder)
    until(child, lambda: last_step(folder) > killed_at + 5)
    assert spawn(folder).wait(60) == 1  # a second one leaves at once
    assert stop(child, signal.SIGTERM) == 0
    assert events(folder, "end")[-1]["outcome"] == "paused"
    paused_at = last_step(folder)

    assert spawn(folder).wait(120) == 0
    assert events(folder, "end")[-1]["outcome"] == "done"
    notes = [event["values"]["step"] for event in events(folder, "note") if event["code"] == "resumed"]
    assert notes == [killed_at - killed_at % 2, paused_at]  # the last checkpoint; a pause makes one itself
    name = "result/adapter.gguf"
    assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_it_pauses_when_the_process_manager_ends(tmp_path: Path) -> None:
    manager = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        folder = job_folder(tmp_path, options={"epochs": 100, "learning_rate": 0.0001}, watch_pid=manager.pid, rows=200)
        child = spawn(folder)
        until(child, lambda: last_step(folder) >= 3)
    finally:
        manager.kill()
        manager.wait()
    assert child.wait(60) == 0
    assert events(folder, "end")[-1]["outcome"] == "paused"


@contextmanager
def server(model: Path, lora: Path | None, key_file: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(model), "--port", str(port)]
    command += ["--api-key-file", str(key_file), "--parallel", "1", "--ctx", "256", "--cache-ram", "0"]
    command += ["--lora", str(lora)] if lora else []
    child = subprocess.Popen(command, cwd=ROOT)
    try:

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        until(child, answers)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


def served(url: str, ids: list[int]) -> dict[int, float]:
    """Log-probabilities of the likeliest next tokens."""
    body = {"prompt": ids, "n_predict": 1, "n_probs": 20, "temperature": 0, "cache_prompt": False}
    found = httpx.post(f"{url}/completion", json=body, headers={"Authorization": "Bearer key"}, timeout=30).json()
    return {one["id"]: one["logprob"] for one in found["completion_probabilities"][0]["top_logprobs"]}


def test_the_server_computes_with_the_adapter_what_peft_computes(tmp_path: Path) -> None:
    import torch
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    before = signal.getsignal(signal.SIGTERM)
    folder = job_folder(tmp_path, options={"epochs": 8})
    try:
        assert trainer._run(folder, Reporter(folder))[0] == "done"
    finally:
        signal.signal(signal.SIGTERM, before)
        torch.use_deterministic_algorithms(False)
    spec = Spec.read(folder)
    model = trainer_model.load(spec)
    set_peft_model_state_dict(model, load_file(folder / "result" / "adapter_model.safetensors"))
    model.eval()
    ids = [2, *range(60, 110), 1, 4]  # positions far enough for the rotation of queries and keys to matter
    with torch.no_grad():
        tuned = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        with model.disable_adapter():
            plain = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    key = tmp_path / "key"
    key.write_text("key")
    with server(Path(spec.base), None, key) as url:
        assert max(abs(float(plain[token]) - value) for token, value in served(url, ids).items()) < 0.01
    with server(Path(spec.base), folder / "result" / "adapter.gguf", key) as url:
        found = served(url, ids)
    assert max(abs(float(tuned[token]) - value) for token, value in found.items()) < 0.01
    assert max(abs(float(plain[token]) - value) for token, value in found.items()) > 0.3  # it does something


def test_an_adapter_for_another_model_is_refused_by_the_server(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    folder = job_folder(tmp_path)
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(tmp_path / "tiny.gguf"), "--port"]
    command += [str(free_port()), "--api-key-file", str(tmp_path / "key"), "--lora", str(tmp_path / "gone.gguf")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is missing" in done.stderr
    assert json.loads((folder / "spec.json").read_text())["method"] == "sft"
