"""Adapters beside the running model server: started, told of, let go, without an answer cut short."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from launcher import files, programs
from launcher.adapters import Adapters
from launcher.plan import Plan
from launcher.start import child_environment
from launcher.supervisord import Supervisor
from tests.launcher.processes import wait_until_gone
from tests.llm import tiny

PATIENCE = 60.0


class Running:
    """supervisord with a model server, and what the launcher's monitor would do again and again."""

    def __init__(self, plan: Plan, base: Path) -> None:
        self.plan, self.base = plan, base
        self.supervisor = Supervisor(plan)
        self.adapters = Adapters(plan, self.supervisor)
        _key, key_file = files.new_key(plan)
        self.model = programs.model_server(str(base), files.free_port(), key_file)
        self.programs = [self.model]
        self.supervisor.start(self.programs, child_environment(plan))
        self.supervisor.run("model")

    def want(self, *names: str) -> None:
        (self.plan.data / "adapters" / "wanted.json").write_text(json.dumps(names))

    def served(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.plan.run_dir / "adapters.json").read_text())
        except OSError:
            return {}
        return found

    def look_until(self, true: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, self.supervisor.states()
            self.adapters.look(self.programs)
            time.sleep(0.05)

    def states(self) -> dict[str, str]:
        return {name: state for name, (state, _pid) in self.supervisor.states().items()}


@pytest.fixture
def running(plan: Plan, tmp_path: Path) -> Iterator[Running]:
    base = tiny.gguf_file(tmp_path / "tiny.gguf")
    found = Running(plan, base)
    try:
        yield found
    finally:
        found.supervisor.close()
        wait_until_gone(plan.data_dir)


def install(running: Running, name: str, **values: Any) -> Path:
    """An adapter of zeros: the server takes it, and it changes nothing."""
    import numpy

    from training.finetune import gguf_adapter

    folder = running.plan.data / "adapters" / name
    folder.mkdir(parents=True)
    stem = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    weights = {f"{stem}A.weight": numpy.zeros((2, 32)), f"{stem}B.weight": numpy.zeros((32, 2))}
    config = {"model_type": "llama", "num_hidden_layers": 1, "num_attention_heads": 2}
    gguf_adapter.write(weights=weights, alpha=2, config=config, path=folder / "adapter.gguf")
    kept = {"base": str(running.base), "base_bytes": running.base.stat().st_size, **values}
    (folder / "adapter.json").write_text(json.dumps(kept))
    return folder


def pid_of(running: Running, name: str) -> int:
    return running.supervisor.states()[name][1]


def test_it_comes_and_goes_while_the_other_server_runs_on(running: Running) -> None:
    install(running, "one")
    install(running, "two")
    model = pid_of(running, "model")
    running.want("one")
    running.look_until(lambda: "one" in running.served())
    entry = running.served()["one"]
    assert entry["model"] == str(running.base)
    assert httpx.get(f"{entry['url']}/v1/models").status_code in (200, 401)
    asked = httpx.post(f"{entry['url']}/completion", json={"prompt": "a", "n_predict": 1})
    assert asked.status_code == 401  # it has a key of its own
    assert (running.plan.run_dir / "adapters.json").stat().st_mode & 0o077 == 0

    first = pid_of(running, "adapter-one")
    running.want("one", "two")
    running.look_until(lambda: "two" in running.served())
    assert pid_of(running, "adapter-one") == first
    running.want("two")
    running.look_until(lambda: "adapter-one" not in running.states())
    assert set(running.served()) == {"two"}
    assert running.states()["adapter-two"] in ("STARTING", "RUNNING")
    assert pid_of(running, "model") == model  # never touched
    assert not (running.plan.run_dir / "adapter-one.key").exists()


def test_an_answer_that_runs_is_not_cut_short(running: Running) -> None:
    install(running, "one")
    running.want("one")
    running.look_until(lambda: "one" in running.served())
    entry = running.served()["one"]
    words: list[str] = []
    begun = threading.Event()

    def listen() -> None:
        body = {"prompt": "a", "n_predict": 2000, "ignore_eos": True, "stream": True}
        headers = {"Authorization": f"Bearer {entry['key']}"}
        with httpx.stream("POST", f"{entry['url']}/completion", json=body, headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                words.append(line)
                begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(30)
    running.want()
    running.look_until(lambda: "adapter-one" not in running.states())
    listener.join(30)
    assert json.loads(words[-2].removeprefix("data: "))["stop"]  # its own end


def test_it_comes_back_after_a_new_start_and_after_a_crash(running: Running) -> None:
    install(running, "one")
    running.want("one")
    running.look_until(lambda: "one" in running.served())
    entry, pid = running.served()["one"], pid_of(running, "adapter-one")
    subprocess.run(["kill", "-9", str(pid)], check=True)
    running.look_until(lambda: pid_of(running, "adapter-one") not in (0, pid))

    def answers() -> bool:
        try:
            return httpx.get(f"{entry['url']}/health", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    running.look_until(answers)
    again = Adapters(running.plan, running.supervisor)  # a new launcher reads the same list
    assert again._wanted() == ["one"]


@pytest.mark.parametrize("missing", ["adapter.gguf", "adapter.json", "base", "other base"])
def test_what_does_not_fit_is_told_once_and_not_started(running: Running, missing: str, capsys: Any) -> None:
    folder = install(running, "one", **({"base_bytes": 7} if missing == "other base" else {}))
    if missing == "base":
        shutil.move(running.base, running.base.with_name("away"))
    elif missing != "other base":
        (folder / missing).unlink()
    running.want("one")
    for _ in range(3):
        running.adapters.look(running.programs)
    assert "adapter-one" not in running.states()
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("cannot be loaded") == 1
