"""Helpers for tests that talk with a whole running application over real sockets."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from bench import processes
from bench.application import Application, FakeModel, Person

PATIENCE = 60.0
FINAL = frozenset({"done", "stopped", "failed"})


@dataclass
class Socket:
    """A websocket of one person. Waits are generous: time never decides a test, a lost frame does."""

    connection: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)

    def send(self, frame: Any) -> None:
        self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def receive(self, patience: float = PATIENCE) -> dict[str, Any]:
        frame = json.loads(self.connection.recv(timeout=patience))
        self.frames.append(frame)
        return dict(frame)

    def until(self, *types: str, turn: str = "") -> list[dict[str, Any]]:
        """Frames up to and with the first of one of these types (of this turn, when one is given)."""
        found = []
        while True:
            frame = self.receive()
            found.append(frame)
            if frame["type"] in types and turn in ("", frame.get("turn")):
                return found

    def ask(self, conversation: str, text: str, turn: str = "") -> str:
        turn = turn or str(uuid.uuid4())
        self.send({"type": "ask", "turn": turn, "conversation": conversation, "text": text})
        return turn

    def resume(self, turn: str, after: int) -> None:
        self.send({"type": "resume", "turn": turn, "after": after})

    def is_alive(self) -> bool:
        """An unknown message is answered: the socket is open and somebody reads it."""
        self.send({"type": "are you there"})
        return self.until("error")[-1]["code"] == "unknown_type"


def text_of(frames: list[dict[str, Any]]) -> str:
    """What the coachee sees: the tokens after the last reset."""
    text = ""
    for frame in frames:
        if frame["type"] == "reset":
            text = ""
        elif frame["type"] == "token":
            text += frame["text"]
    return text


def sequence(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["seq"] for frame in frames if frame.get("seq")]


class Live:
    """An application, the fake model it asks, two coachees and an administrator, each made when first needed."""

    def __init__(self, application: Application, model: FakeModel) -> None:
        self.application = application
        self.model = model

    @cached_property
    def alice(self) -> Person:
        return self.application.people(1)[0]

    @cached_property
    def bob(self) -> Person:
        return self.application.people(1)[0]

    @cached_property
    def ada(self) -> Person:
        """May add knowledge."""
        return self.application.people(1, staff=True)[0]

    def pace(self, pace: str) -> str:
        """The slug of a coach whose model streams at this pace (bench/fake_model.py)."""
        self.application.helper("coaches", given=json.dumps({pace: f"openai:{pace}"}))
        return pace

    def talk(self, person: Person, coach: str = "personal") -> str:
        return self.application.conversation(person.token, coach)

    @contextmanager
    def socket(self, person: Person | None, **options: Any) -> Iterator[Socket]:
        headers = {"Authorization": f"Bearer {person.token}"} if person else {}
        with connect(
            self.application.socket_url, additional_headers=headers, proxy=None, compression=None, **options
        ) as connection:
            yield Socket(connection)

    def turn(self, person: Person, turn: str) -> dict[str, Any]:
        return dict(self.application.call("GET", f"/api/v1/turns/{turn}", token=person.token))

    def turn_row(self, turn: str) -> dict[str, Any]:
        """The same from the database, for turns of people without a token."""
        [(answer, state)] = self.sql("SELECT answer, state FROM coach_turn WHERE id = ?", uuid.UUID(turn).hex)
        return {"answer": answer, "state": state}

    def busy_slots(self) -> int:
        """How many answers the embedded model server is computing now."""
        found = json.loads((self.application.data_dir / "run" / "services.json").read_text())["llamacpp"]
        request = urllib.request.Request(f"{found['url']}/slots", headers={"Authorization": f"Bearer {found['key']}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return sum(bool(slot.get("is_processing")) for slot in json.load(answer))

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the application's own database, opened for reading only."""
        path = self.application.data_dir / "coach.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(query, values).fetchall()

    def turns(self) -> int:
        return int(self.sql("SELECT count(*) FROM coach_turn")[0][0])

    def wait_for(self, what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
        deadline = time.monotonic() + patience
        while not (found := condition()):
            assert time.monotonic() < deadline, (
                f"{what} did not come within {patience:.0f} s\n{self.application.logs()}"
            )
            time.sleep(0.05)
        return found

    def pids(self, name: str) -> list[int]:
        return [process.pid for process in processes.tree(self.application.pid) if process.name == name]

    def kill(self, name: str) -> None:
        """SIGKILL to every process of this name, as a crash or the kernel would."""
        victims = self.pids(name)
        assert victims, f"no process {name} runs"
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            try:
                return bool(self.application.call("GET", "/readyz")["ready"])
            except Exception:  # whatever is wrong while it restarts, we ask again
                return False

        self.wait_for("readiness", ready)


def reconnect(live: Live, person: Person) -> Socket:
    """A socket as soon as the web process answers again; the caller closes its connection."""
    deadline = time.monotonic() + PATIENCE
    headers = {"Authorization": f"Bearer {person.token}"}
    while True:
        try:
            return Socket(connect(live.application.socket_url, additional_headers=headers, proxy=None))
        except (OSError, ConnectionClosed, InvalidHandshake):  # refused, or cut while it is dying
            assert time.monotonic() < deadline, live.application.logs()
            time.sleep(0.1)


def start_application(folder: Path, model: FakeModel, **settings: str) -> Application:
    """Not started yet: `with start_application(…) as application`."""
    environment = {
        "COACH_MODELS": "openai:bench",
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "none",
        "COACH_OFFLINE": "1",
        "COACH_TURNS_PER_MINUTE": "10000",
        **settings,
    }
    if "COACH_CACHE_DIR" in os.environ:
        environment["COACH_CACHE_DIR"] = os.environ["COACH_CACHE_DIR"]
    return Application(folder, environment)
