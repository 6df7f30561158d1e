"""The embedded language model: seconds until the first visible words in a conversation about the starter knowledge."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

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


# Of other subjects each: what brings three new sources is rare, and two such turns say little.
OTHER_SUBJECTS = (
    "What helps me to recover from stress?",
    "How do I prepare for a difficult conversation?",
    "How do I listen better to other people?",
    "How do I find out what I value most?",
    "What can I do about impostor feelings?",
    "How do I plan my career?",
    "How do I say no to more work?",
    "How do I sleep better?",
)
READING_SECONDS = 3.0  # a coachee reads the answer before the next question
# A follow-up that finds what the conversation has seen already.
FOLLOW_UPS = {
    "en": "Can you say that more shortly?",
    "sv": "Kan du säga det kortare?",
    "nb": "Kan du si det kortere?",
    "ko": "더 짧게 말해 줄 수 있나요?",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds to the first word and to the end, and how many sources were new to the conversation."""

    first: float
    end: float
    new: int


async def _turn(socket: ClientConnection, conversation: str, text: str, seen: set[int]) -> Turn:
    frame = {"type": "ask", "turn": str(uuid.uuid4()), "conversation": conversation, "text": text}
    started, first, new = time.perf_counter(), 0.0, 0
    await socket.send(json.dumps(frame))
    while True:
        event = json.loads(await asyncio.wait_for(socket.recv(), 300))
        if event["type"] == "sources":
            numbers = {source["n"] for source in event["sources"]}
            new = len(numbers - seen)
            seen |= numbers
        elif event["type"] == "token" and event["text"].strip() and not first:
            first = time.perf_counter() - started
        elif event["type"] == "done":
            return Turn(first, time.perf_counter() - started, new)
        elif event["type"] in ("failed", "error", "stopped"):
            raise RuntimeError(f"the turn ended as {event}")


async def _conversation(
    application: Application, language: str, token: str, questions: Sequence[str] = ()
) -> list[Turn]:
    body = {"coach": "personal", "language": language}
    made = await asyncio.to_thread(application.call, "POST", "/api/v1/conversations", token=token, body=body)
    headers = {"Authorization": f"Bearer {token}"}
    seen: set[int] = set()
    async with connect(application.socket_url, additional_headers=headers, proxy=None) as socket:
        texts = questions or (*CONVERSATIONS[language], FOLLOW_UPS[language])
        turns = []
        for text in texts:
            turns.append(await _turn(socket, made["id"], text, seen))
            await asyncio.sleep(READING_SECONDS)
        return turns


async def _all(application: Application, token: str) -> list[list[Turn]]:
    return await asyncio.gather(*(_conversation(application, language, token) for language in CONVERSATIONS))


def measure_model(application: Application) -> list[Row]:
    """(h) first visible words of the second and later turns, each language on its own, then four at once."""
    token = application.people(1)[0].token
    rows, later = [], list[Turn]()
    for language in CONVERSATIONS:
        turns = asyncio.run(_conversation(application, language, token))
        later += turns[1:]
        rows.append(_row(f"first words, embedded model, {language}", turns[1:], note=_note(turns)))
    turns = asyncio.run(_conversation(application, "en", token, OTHER_SUBJECTS))
    later += turns[1:]
    rows.append(_row("first words, embedded model, other subjects", turns[1:], note=_note(turns)))
    rows.append(_row("first words, embedded model, median of later turns", later, 5))
    rows.append(_row("… of turns that bring three new sources or more", [turn for turn in later if turn.new >= 3], 3))
    rows.append(_row("… of turns that bring none", [turn for turn in later if not turn.new], 1))
    together = asyncio.run(_all(application, token))
    each = " | ".join(_note(turns) for turns in together)
    rows.append(_row("… four conversations at once", [t for turns in together for t in turns[1:]], 9, note=each))
    return rows


def _row(name: str, turns: list[Turn], target: float | None = None, note: str = "") -> Row:
    note = note or f"{len(turns)} turns"
    return Row(name, median([turn.first for turn in turns]), "s", target, note=note, load=processes.load_average())


def _note(turns: list[Turn]) -> str:
    return "first word/end (new sources): " + ", ".join(f"{t.first:.1f}/{t.end:.1f} ({t.new})" for t in turns)
