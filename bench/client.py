"""The load client, a process of its own: reads a plan from standard input, prints what it measured.

plan     {"url": "ws://…/ws/chat/", "expected": text of each answer, "first": its first token,
          "users": [{"token": …, "turns": [{"conversation": UUID, "question": …}, …]}, …],
          "spread": seconds over which the users begin}
result   {"turns": [{"accepted", "sources", "first", "done": seconds after the question, "frames": n, "error": ""}],
          "wall": seconds, "cpu": seconds of this process}
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect

TURN_SECONDS = 120.0
_CITATION = re.compile(r"\s*\[\d+\]")


@dataclass
class Measured:
    accepted: float = 0.0
    sources: float = 0.0
    first: float = 0.0
    done: float = 0.0
    frames: int = 0
    begun: float = 0.0
    error: str = ""
    text: str = field(default="", repr=False)


def plain(text: str) -> str:
    """An answer without its citations, which depend on what was found, and with single spaces."""
    return " ".join(_CITATION.sub("", text).split())


async def one_turn(socket: ClientConnection, turn: dict[str, str], plan: dict[str, Any]) -> Measured:
    measured, turn_id = Measured(), str(uuid.uuid4())
    frame = {"type": "ask", "turn": turn_id, "conversation": turn["conversation"], "text": turn["question"]}
    measured.begun = time.time()
    started, seq = time.perf_counter(), 0
    await socket.send(json.dumps(frame))
    while True:
        event = json.loads(await socket.recv())
        now = time.perf_counter() - started
        measured.frames += 1
        kind = event["type"]
        if event.get("seq", 0) and event["seq"] <= seq:
            measured.error = f"seq {event['seq']} after {seq}"
        seq = event.get("seq", seq)
        if kind in ("accepted", "sources"):
            setattr(measured, kind, now)
        elif kind == "token":
            measured.text += event["text"]
            if not measured.first and plan["first"] in measured.text:
                measured.first = now
        elif kind == "reset":
            measured.text = ""
        elif kind == "done":
            measured.done = now
            measured.error = measured.error or _judge(measured, event, plan)
            return measured
        elif kind in ("failed", "error", "stopped"):
            measured.error = f"{kind}: {event.get('code')} {event.get('message')}"
            return measured


def _judge(measured: Measured, done: dict[str, Any], plan: dict[str, Any]) -> str:
    """'' when the tokens came in order and the answer is whole."""
    wanted = plain(plan["expected"])
    if wanted and not plain(measured.text).endswith(wanted):
        return "the tokens are not the model's answer"
    if wanted and not plain(done["answer"]).endswith(wanted):
        return "the stored answer is not the model's answer"
    return "" if measured.first else "no token"


async def one_user(user: dict[str, Any], plan: dict[str, Any], delay: float) -> list[Measured]:
    await asyncio.sleep(delay)
    found: list[Measured] = []
    headers = {"Authorization": f"Bearer {user['token']}"}
    async with connect(plan["url"], additional_headers=headers, compression=None, proxy=None) as socket:
        for turn in user["turns"]:
            try:
                found.append(await asyncio.wait_for(one_turn(socket, turn, plan), TURN_SECONDS))
            except TimeoutError:
                found.append(Measured(error=f"no answer within {TURN_SECONDS:.0f} s"))
    return found


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    users, started = plan["users"], time.perf_counter()
    step = plan.get("spread", 0.0) / max(len(users), 1)
    results = await asyncio.gather(
        *(one_user(user, plan, step * number) for number, user in enumerate(users)), return_exceptions=True
    )
    wall = time.perf_counter() - started
    turns: list[dict[str, Any]] = []
    for user, result in zip(users, results, strict=True):
        if isinstance(result, BaseException):
            turns += [asdict(Measured(error=f"socket: {result!r}"))] * len(user["turns"])
        else:
            turns += [asdict(measured) for measured in result]
    for turn in turns:
        del turn["text"]
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"turns": turns, "wall": wall, "cpu": used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    json.dump(uvloop.run(run(json.load(sys.stdin))), sys.stdout)
