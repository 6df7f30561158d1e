"""Measures around a turn: first token, page and socket, load of fifty users, memory."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import connect

from . import processes, questions
from .application import ROOT, Application, Person
from .fake_model import answer_text, pace_of, pieces
from .report import Row, median, percentile

MODEL = "bench"
FIRST_MS = pace_of(MODEL).first * 1000
TURNS_OF_A_CONVERSATION = 5
USERS, TURNS = 50, 1000
# Fifty answers at once at the asked-for 35 turns a second last 1.1 s each; the usual pace, 0.65 s, fills the machine.
STEADY, STEADY_TURNS = "pace-50-18-60", 600


class Chat:
    """Runs plans of the load client against one application; never asks the same question twice."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._asked = 0

    def plan(
        self, people: Sequence[Person], turns: int, spread: float = 0.0, coach: str = "personal", model: str = MODEL
    ) -> dict[str, Any]:
        """Every person asks `turns` questions, in conversations of five turns that are made here.

        coach, model    who is asked, and the fake model whose pace it has
        """
        users = []
        for person in people:
            texts = questions.take(turns, self._asked)
            self._asked += turns
            needed = -(-turns // TURNS_OF_A_CONVERSATION)
            conversations = [self.application.conversation(person.token, coach) for _ in range(needed)]
            asked = [
                {"conversation": conversations[n // TURNS_OF_A_CONVERSATION], "question": text}
                for n, text in enumerate(texts)
            ]
            users.append({"token": person.token, "turns": asked})
        return {
            "url": self.application.socket_url,
            "expected": answer_text(model),
            "first": pieces(1)[0].strip(),
            "spread": spread,
            "users": users,
        }

    def start(self, plan: dict[str, Any]) -> subprocess.Popen[str]:
        client = subprocess.Popen(
            [sys.executable, "-m", "bench.client"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        client.stdin.write(json.dumps(plan))
        client.stdin.close()
        return client

    def finish(self, client: subprocess.Popen[str]) -> dict[str, Any]:
        assert client.stdout is not None
        result = json.loads(client.stdout.read())
        client.wait()
        return dict(result)

    def run(self, plan: dict[str, Any]) -> dict[str, Any]:
        return self.finish(self.start(plan))


def added(result: dict[str, Any]) -> list[float]:
    """Milliseconds to the first token that are not the model's own, of the turns without an error."""
    return [turn["first"] * 1000 - FIRST_MS for turn in result["turns"] if not turn["error"]]


def errors(result: dict[str, Any]) -> list[str]:
    return [turn["error"] for turn in result["turns"] if turn["error"]]


def _note(result: dict[str, Any]) -> str:
    """The first error, or the median milliseconds from the question to each event of a turn."""
    wrong = errors(result)
    if wrong:
        return f"{len(wrong)} errors: {wrong[0]}"
    stages = ("accepted", "sources", "first", "done")
    return ", ".join(f"{stage} {median([turn[stage] * 1000 for turn in result['turns']]):.0f}" for stage in stages)


def measure_ttft(application: Application, turns: int = 40) -> list[Row]:
    """(a) one user, one question after the other."""
    chat = Chat(application)
    person = application.people(1)
    chat.run(chat.plan(person, 3))  # connections, caches and compiled patterns: a running house, not the first visitor
    result = chat.run(chat.plan(person, turns))
    load = processes.load_average()
    return [
        Row(
            "added time to first token, 1 user, median", median(added(result)), "ms", 40, note=_note(result), load=load
        ),
        Row("added time to first token, 1 user, p95", percentile(added(result), 95), "ms", load=load),
    ]


def measure_page(application: Application, rounds: int = 30) -> list[Row]:
    """(b) the chat page with a session, then its socket open."""
    session, csrf = _session(application)
    cookie = f"sessionid={session}; csrftoken={csrf}"
    pages, sockets = [], []
    for _round in range(rounds):
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", application.port, timeout=10)
        connection.request("GET", "/", headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"GET / answered {answer.status}")
        page = time.perf_counter()
        asyncio.run(_open_socket(application, cookie))
        pages.append((page - started) * 1000)
        sockets.append((time.perf_counter() - page) * 1000)
    both = [page + sock for page, sock in zip(pages, sockets, strict=True)]
    note = f"page {median(pages):.0f}, socket {median(sockets):.0f}"
    return [Row("page and socket open, median", median(both), "ms", 150, note=note, load=processes.load_average())]


def _session(application: Application) -> tuple[str, str]:
    """Session and CSRF cookie of a guest: the page first, then a conversation."""
    connection = http.client.HTTPConnection("127.0.0.1", application.port, timeout=10)
    connection.request("GET", "/?try=1")
    page = connection.getresponse()
    page.read()
    cookies = _cookies(page)
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "X-CSRFToken": cookies["csrftoken"],
        "Content-Type": "application/json",
        "Origin": application.url,
    }
    connection.request("POST", "/api/v1/conversations", json.dumps({"coach": "personal"}), headers)
    made = connection.getresponse()
    made.read()
    cookies |= _cookies(made)
    connection.close()
    if made.status != 201:
        raise RuntimeError(f"POST /api/v1/conversations answered {made.status}")
    return cookies["sessionid"], cookies["csrftoken"]


def _cookies(answer: http.client.HTTPResponse) -> dict[str, str]:
    pairs = [value.partition(";")[0].partition("=") for value in answer.headers.get_all("Set-Cookie") or []]
    return {name: value for name, _, value in pairs}


async def _open_socket(application: Application, cookie: str) -> None:
    headers = {"Cookie": cookie}
    async with connect(
        application.socket_url, origin=application.url, additional_headers=headers, proxy=None
    ) as socket:
        await socket.ping()


def measure_load(application: Application, users: int = USERS, turns: int = TURNS) -> list[Row]:
    """(a, c, d) fifty users without a pause: waiting, throughput, errors, CPU of a turn."""
    chat = Chat(application)
    people = application.people(users)
    chat.run(chat.plan(people[:5], 1))
    plan = chat.plan(people, turns // users, spread=0.5)
    before = processes.cpu_seconds(application.pid)
    result = chat.run(plan)
    cpu = processes.spent(before, processes.cpu_seconds(application.pid))
    load = processes.load_average()
    done = len(result["turns"]) - len(errors(result))
    embedder = embedder_ms(application)
    per_turn = {name: seconds * 1000 / turns for name, seconds in cpu.items()}
    total = sum(per_turn.values())
    shares = ", ".join(
        f"{name} {value:.1f}" for name, value in sorted(per_turn.items(), key=lambda i: -i[1]) if value > 0.05
    )
    client_note = f"client {result['cpu'] * 1000 / turns:.1f} ms a turn of its own"
    return [
        Row(f"added time to first token, {users} users, p95", percentile(added(result), 95), "ms", 250, load=load),
        Row(
            f"added time to first token, {users} users, median",
            median(added(result)),
            "ms",
            note=_note(result),
            load=load,
        ),
        Row(f"turns a second, {users} users", done / result["wall"], "turns/s", 35, False, client_note, load),
        Row(f"errors in {len(result['turns'])} turns", len(errors(result)), "turns", 0, load=load),
        Row("CPU of a turn above the embedder", total - embedder, "ms", 40, note=shares, load=load),
        Row("CPU of one query in the embedder alone", embedder, "ms", load=load),
    ]


def measure_steady(application: Application) -> list[Row]:
    """(a, c) fifty at once whose answers last as long as 35 turns a second leave them."""
    chat = Chat(application)
    people = application.people(USERS)
    application.helper("coaches", given=json.dumps({"steady": f"openai:{STEADY}"}))
    chat.run(chat.plan(people[:5], 1, coach="steady", model=STEADY))
    result = chat.run(chat.plan(people, STEADY_TURNS // USERS, spread=1.1, coach="steady", model=STEADY))
    load, wrong = processes.load_average(), errors(result)
    rate = (len(result["turns"]) - len(wrong)) / result["wall"]
    first = pace_of(STEADY).first * 1000
    waited = [turn["first"] * 1000 - first for turn in result["turns"] if not turn["error"]]
    name = f"{USERS} answers of 1.1 s at once"
    return [
        Row(
            f"added time to first token, {name}, p95", percentile(waited, 95), "ms", 250, note=_note(result), load=load
        ),
        Row(f"turns a second, {name}", rate, "turns/s", 35, False, f"{len(wrong)} errors", load),
    ]


def embedder_ms(application: Application) -> float:
    texts = questions.take(100)
    found = application.helper("embed", "query", given=json.dumps(texts))
    return float(found["cpu"]) * 1000 / len(texts)


def measure_memory(application: Application) -> list[Row]:
    """(e) proportional set size, best taken after the load."""
    found = processes.memory_mb(application.pid)
    ours = {name: value for name, value in found.items() if name != "model"}
    shares = ", ".join(f"{name} {value:.0f}" for name, value in sorted(ours.items(), key=lambda i: -i[1]))
    load = processes.load_average()
    return [
        Row("memory of all but the model server (PSS)", sum(ours.values()), "MB", 900, note=shares, load=load),
        Row("memory of the web process (PSS)", found.get("web", 0.0), "MB", 120, load=load),
    ]
