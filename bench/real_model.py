"""The embedded language model: seconds until the first visible words in a conversation about the starter knowledge."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

from websockets.asyncio.client import ClientConnection, connect

from . import processes
from .application import Application
from .report import Row, median

CONVERSATIONS = {
    "en": (
        "How do I set a goal that I will really reach?",
        "How can I begin with a new habit?",
        "What should I do on the days when I fail?",
        "How do I ask a colleague for feedback?",
    ),
    "sv": (
        "Hur sätter jag ett mål som jag verkligen når?",
        "Hur kan jag börja med en ny vana?",
        "Vad gör jag de dagar då jag misslyckas?",
        "Hur ber jag en kollega om återkoppling?",
    ),
    "nb": (
        "Hvordan setter jeg et mål som jeg virkelig når?",
        "Hvordan kan jeg begynne med en ny vane?",
        "Hva gjør jeg de dagene jeg mislykkes?",
        "Hvordan ber jeg en kollega om tilbakemelding?",
    ),
    "ko": (
        "정말로 이룰 수 있는 목표는 어떻게 세우나요?",
        "새로운 습관은 어떻게 시작하면 좋을까요?",
        "실패한 날에는 어떻게 해야 하나요?",
        "동료에게 피드백을 어떻게 부탁하면 좋을까요?",
    ),
}


async def _turn(socket: ClientConnection, conversation: str, text: str) -> tuple[float, float]:
    """Seconds to the first word and to the end."""
    frame = {"type": "ask", "turn": str(uuid.uuid4()), "conversation": conversation, "text": text}
    started, first = time.perf_counter(), 0.0
    await socket.send(json.dumps(frame))
    while True:
        event = json.loads(await asyncio.wait_for(socket.recv(), 300))
        if event["type"] == "token" and event["text"].strip() and not first:
            first = time.perf_counter() - started
        elif event["type"] == "done":
            return first, time.perf_counter() - started
        elif event["type"] in ("failed", "error", "stopped"):
            raise RuntimeError(f"the turn ended as {event}")


async def _conversation(application: Application, language: str, token: str) -> list[tuple[float, float]]:
    body = {"coach": "personal", "language": language}
    conversation = application.call("POST", "/api/v1/conversations", token=token, body=body)["id"]
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(application.socket_url, additional_headers=headers, proxy=None) as socket:
        return [await _turn(socket, conversation, text) for text in CONVERSATIONS[language]]


def measure_model(application: Application) -> list[Row]:
    """(h) first visible words of the second and later turns, each language on its own and together."""
    token = application.people(1)[0].token
    rows, later = [], list[float]()
    for language in CONVERSATIONS:
        turns = asyncio.run(_conversation(application, language, token))
        firsts = [first for first, _ in turns[1:]]
        later += firsts
        each = ", ".join(f"{first:.1f}/{end:.1f}" for first, end in turns)
        note = f"first word/end of each turn: {each}"
        rows.append(
            Row(
                f"first words, embedded model, {language}",
                median(firsts),
                "s",
                note=note,
                load=processes.load_average(),
            )
        )
    rows.append(
        Row("first words, embedded model, median of later turns", median(later), "s", 5, load=processes.load_average())
    )
    return rows
