"""The topology of docker-compose.yml by hand: PostgreSQL and Redis of the system, Chroma's own server, and
web, runner, worker and beat as separate processes that find them by URL alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from websockets.sync.client import connect

from bench.application import plain_environment
from launcher import health
from tests.servers import ROOT, free_port

pytestmark = pytest.mark.services
PATIENCE = 120.0
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def wait_for(what: str, condition: Callable[[], Any], said: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come\n{said()}"
        time.sleep(0.1)
    return found


@contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL cluster of its own; gives the URL of its database. It refuses to run as root."""
    binaries, data, port = POSTGRES[-1].parent, folder / "postgres", free_port()
    data.mkdir()
    someone: dict[str, Any] = {}
    if os.getuid() == 0:
        folder.chmod(0o755)
        shutil.chown(data, "postgres", "postgres")
        someone = {"user": "postgres", "group": "postgres", "extra_groups": []}
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "coach", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, cwd=data, **someone)
    command = [str(binaries / "postgres"), "-D", str(data), "-k", str(data), "-h", "127.0.0.1", "-p", str(port)]
    with running([*command, "-c", "fsync=off"], folder / "postgres.log", cwd=data, **someone):
        url = f"postgres://coach@127.0.0.1:{port}/postgres"

        def ready() -> bool:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_for("PostgreSQL", ready, (folder / "postgres.log").read_text)
        yield url


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    (folder / "redis").mkdir()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    with running([*command, "--dir", str(folder / "redis")], folder / "redis.log"):
        url = f"redis://127.0.0.1:{port}/0"
        wait_for("Redis", lambda: health.reachable(url))
        yield url


@contextmanager
def chroma(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder / "chroma")]
    with running([*command, "--host", "127.0.0.1", "--port", str(port)], folder / "chroma.log"):
        url = f"http://127.0.0.1:{port}"
        wait_for("Chroma", lambda: health.chroma_ready(url))
        yield url


@dataclass
class Cluster:
    folder: Path
    port: int
    environment: dict[str, str]
    token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str, **environment: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        environment = {**self.environment, **environment}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}\n{self.logs()}") from error

    def ask(self, conversation: str, text: str) -> list[dict[str, Any]]:
        """All frames of one turn, the last one is its end."""
        turn, frames = str(uuid.uuid4()), list[dict[str, Any]]()
        headers = {"Authorization": f"Bearer {self.token}"}
        with connect(f"ws://127.0.0.1:{self.port}/ws/chat/", additional_headers=headers, proxy=None) as connection:
            connection.send(json.dumps({"type": "ask", "turn": turn, "conversation": conversation, "text": text}))
            while not frames or frames[-1]["type"] not in {"done", "failed", "stopped", "error"}:
                frames.append(json.loads(connection.recv(timeout=PATIENCE)))
        return frames

    def sql(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            return connection.execute(query).fetchall()

    def logs(self) -> str:
        texts = [f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(texts)


APPLICATION = {
    "web": ["-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--lifespan", "off"],
    "runner": ["manage.py", "runworker", "turns"],
    "worker": ["-m", "celery", "-A", "config.celery", "worker", "-Q", "default,knowledge,models,training", "-c", "1"],
    "beat": ["-m", "celery", "-A", "config.celery", "beat", "--pidfile="],
}


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    if not POSTGRES or not shutil.which("redis-server"):
        pytest.skip("needs PostgreSQL and Redis: sudo apt install postgresql redis-server")
    with ExitStack() as stack:
        environment = {
            **plain_environment(),
            "DATABASE_URL": stack.enter_context(postgres(folder)),
            "REDIS_URL": stack.enter_context(redis(folder)),
            "CHROMA_URL": stack.enter_context(chroma(folder)),
            "SECRET_KEY": "s" * 50,
            "COACH_MODELS": "guided",
            "COACH_DATA_DIR": str(folder / "data"),
            **{name: os.environ[name] for name in ("COACH_CACHE_DIR",) if name in os.environ},
        }
        found = Cluster(folder, free_port(), environment)
        found.manage("prepare", "--no-model-server")
        found.manage(
            "createsuperuser",
            "--noinput",
            "--username",
            "ada",
            "--email",
            "ada@example.org",
            DJANGO_SUPERUSER_PASSWORD="p" * 20,
        )
        found.token = found.manage("createtoken", "ada")
        for name, arguments in APPLICATION.items():
            extra = {"web": ["--port", str(found.port)], "beat": ["--schedule", str(folder / "beat")]}.get(name, [])
            command = [sys.executable, *arguments, *extra]
            stack.enter_context(running(command, folder / f"{name}.log", cwd=ROOT, env=environment))
        wait_for("readiness", lambda: health.missing_dependencies(found.url) == [], found.logs)
        yield found


def test_a_grounded_conversation_on_real_servers(cluster: Cluster) -> None:
    assert cluster.sql("SELECT count(*) FROM coach_coach") == [(2,)]
    waiting = "SELECT count(*) FROM knowledge_document WHERE state <> 'ready'"
    wait_for("the index", lambda: cluster.sql(waiting) == [(0,)], cluster.logs)

    conversation = cluster.call("POST", "/conversations", {"coach": "personal"})["id"]
    frames = cluster.ask(conversation, "What is the GROW model?")

    assert frames[-1]["type"] == "done", frames[-1]
    sources = next(frame["sources"] for frame in frames if frame["type"] == "sources")
    assert any("GROW" in source["title"] + source["text"] for source in sources)
    assert frames[-1]["citations"]
    turn = cluster.call("GET", f"/turns/{frames[-1]['turn']}")
    assert turn["answer"] == frames[-1]["answer"]
    assert turn["state"] == "done"

    cluster.call("PUT", f"/turns/{frames[-1]['turn']}/rating", {"rating": 5, "helpful": True, "comment": "tack"})
    assert cluster.sql("SELECT rating, helpful, comment FROM coach_rating") == [(5, True, "tack")]
