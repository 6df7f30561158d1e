"""`python -m bench.export [--turns 1000000] [kind …]`: how fast training data leaves, and in how much memory.

Makes turns by bulk SQL in a data folder of its own (SQLite), as a year of use would leave them: conversations in
the order of time, their ids random, each turn with its rating and with the messages that a model was shown. Then
runs `manage.py export` for each kind as a process and reads its largest memory from the system.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .report import Row, print_table, write_json

ROOT = Path(__file__).resolve().parent.parent
HISTORY = "openai-history"  # as openai, with the conversation before each question
KINDS = ("sessions", "openai", HISTORY, "preferences", "sharegpt", "csv")
HISTORY_TOKENS = "2000"
TURNS_A_CONVERSATION = 10
MOST_MEGABYTES, LEAST_TURNS_A_SECOND = 150.0, 20_000.0
_WORDS = {
    "en": ("goal", "habit", "feedback", "value", "rest", "step", "question", "listen", "plan", "choice", "energy"),
    "sv": ("mål", "vana", "återkoppling", "värde", "vila", "steg", "fråga", "lyssna", "plan", "val", "kraft"),
    "nb": ("mål", "vane", "tilbakemelding", "verdi", "hvile", "steg", "spørsmål", "lytte", "plan", "valg", "kraft"),
    "ko": ("목표", "습관", "피드백", "가치", "휴식", "단계", "질문", "듣기", "계획", "선택", "에너지"),
}
_START = datetime(2025, 11, 1, tzinfo=UTC)


def fill(path: Path, turns: int) -> None:
    """Rows of a year; one in ten unrated, one in a hundred questions answered twice, one person in twenty refuses."""
    rng = random.Random(5)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous=OFF")
        people = _people(database, max(20, turns // 100))
        coaches = [row[0] for row in database.execute("SELECT id FROM coach_coach")]
        done = 0
        while done < turns:
            tables: dict[str, list[dict[str, Any]]] = {}
            for _ in range(1000):
                done += _conversation(tables, rng, rng.choice(people), rng.choice(coaches), done)
                if done >= turns:
                    break
            for table, rows in tables.items():
                _insert(database, table, rows)
    database.close()


def _people(database: sqlite3.Connection, n: int) -> list[int]:
    common = {
        "password": "!",
        "is_superuser": 0,
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_staff": 0,
        "is_active": 1,
        "date_joined": _START.isoformat(" "),
        "is_guest": 0,
        "language": "",
    }
    consent = _START.strftime("%Y-%m-%d %H:%M:%S")
    rows = [
        {**common, "id": 1000 + i, "username": f"p{i}", "training_consent": consent if i % 20 else None}
        for i in range(n)
    ]
    _insert(database, "accounts_user", rows)
    return [row["id"] for row in rows]


def _conversation(
    tables: dict[str, list[dict[str, Any]]], rng: random.Random, owner: int, coach: int, number: int
) -> int:
    conversation = uuid.UUID(int=rng.getrandbits(128), version=4).hex
    begun = _START + timedelta(seconds=30 * number)
    stamp = begun.strftime("%Y-%m-%d %H:%M:%S")
    tables.setdefault("coach_conversation", []).append(
        {
            "id": conversation,
            "owner_id": owner,
            "coach_id": coach,
            "title": "",
            "language": "en",
            "private": 0,
            "kept_out": 0,
            "sources_from_turn": 0,
            "created": stamp,
            "updated": stamp,
        }
    )
    hashes: list[str] = []
    path: list[str] = []  # the turns before, as the prompts hold them
    language = rng.choice(tuple(_WORDS))
    made = 0
    for position in range(1, TURNS_A_CONVERSATION + 1):
        asked = begun + timedelta(seconds=60 * position)
        question = _text(rng, language, 14)
        sources = (_text(rng, language, 60), _text(rng, language, 60))
        shown = f"Sources:\n[1] {sources[0]}\n[2] {sources[1]}\n\nQuestion: {question}\nAnswer in English."
        prompt = (*hashes, _message(tables, conversation, "user", shown))
        first = None
        for _again in range(2 if rng.random() < 0.01 else 1):
            row = _turn(rng, conversation, position, question, asked, prompt, path, language)
            row["regenerates_id"] = first
            first = row["id"]
            tables.setdefault("coach_turn", []).append(row)
            _rating(tables, rng, row)
            made += 1
        hashes += (prompt[-1], _message(tables, conversation, "assistant", row["answer"]))
        path.append(str(uuid.UUID(row["id"])))
    return made


def _turn(
    rng: random.Random,
    conversation: str,
    position: int,
    question: str,
    asked: datetime,
    prompt: Sequence[str],
    path: Sequence[str],
    language: str,
) -> dict[str, Any]:
    stamp, turn = asked.strftime("%Y-%m-%d %H:%M:%S.%f"), uuid.UUID(int=rng.getrandbits(128), version=4).hex
    sha256 = hashlib.sha256("\n".join(prompt).encode()).hexdigest()
    provenance = {"messages": prompt, "sha256": sha256, "opening": 0, "history": path, "app": "bench"}
    row = _turn_row(turn, conversation, position, question, _text(rng, language, 70), stamp)
    return {**row, "provenance": json.dumps(provenance), "language": language}


def _rating(tables: dict[str, list[dict[str, Any]]], rng: random.Random, turn: dict[str, Any]) -> None:
    if rng.random() < 0.9:
        tables.setdefault("coach_rating", []).append(
            {
                "turn_id": turn["id"],
                "rating": rng.choice((1, 2, 3, 4, 4, 5, 5)),
                "helpful": rng.choice((0, 1, None)),
                "reasons": '["clear"]',
                "comment": "",
                "created": turn["created"],
                "updated": turn["created"],
            }
        )


def _turn_row(turn: str, conversation: str, position: int, question: str, answer: str, stamp: str) -> dict[str, Any]:
    empty = {name: "[]" for name in ("sources", "citations", "notices")} | {"usage": "{}", "timings": "{}"}
    blank = {name: "" for name in ("place", "safety", "failure_code", "failure", "lease_owner")}
    return {
        "id": turn,
        "conversation_id": conversation,
        "position": position,
        "question": question,
        "language": "en",
        "answer": answer,
        "state": "done",
        "grounded": 1,
        "model": "llamacpp:bench",
        "stop_requested": 0,
        "attempts": 1,
        "created": stamp,
        "finished": stamp,
        **empty,
        **blank,
    }


def _message(tables: dict[str, list[dict[str, Any]]], conversation: str, role: str, text: str) -> str:
    sha256 = hashlib.sha256(f"{role}\n{text}".encode()).hexdigest()
    row = {"conversation_id": conversation, "sha256": sha256, "role": role, "text": text}
    tables.setdefault("coach_promptmessage", []).append(row)
    return sha256


def _text(rng: random.Random, language: str, words: int) -> str:
    return " ".join(rng.choices(_WORDS[language], k=words)).capitalize() + "."


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    more = _others(database, table, rows[0])
    names = [*rows[0], *more]
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
    database.executemany(sql, [(*row.values(), *more.values()) for row in rows])
    database.commit()


def _others(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Something empty for each column that must be there and is not in the row: tables grow."""
    empty = {"text": "[]", "integer": 0, "bool": 0, "smallint unsigned": 0, "integer unsigned": 0}
    columns = database.execute(f"PRAGMA table_info({table})")
    needed = [(name, kind.lower()) for _n, name, kind, not_null, _default, key in columns if not_null and not key]
    return {name: empty.get(kind, "") for name, kind in needed if name not in row}


def measure(folder: Path, kind: str) -> Iterator[Row]:
    """Whole processes: start of Python, count of what stays out, file and manifest."""
    out = folder / f"{kind}.out"
    command = [sys.executable, "manage.py", "export", kind.removesuffix("-history"), "--out", str(out), "--json"]
    command += ["--history", HISTORY_TOKENS] if kind == HISTORY else []
    began = time.perf_counter()
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=_env(folder), stdout=subprocess.PIPE, stderr=errors)
        text = process.stdout.read() if process.stdout else b""
        _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print((folder / "stderr").read_text(), file=sys.stderr)
        yield Row(f"export {kind}: not measured", 1, "failure", 0)
        return
    manifest = json.loads(text)
    looked_at, lines, size = manifest["counts"]["in"], manifest["rows"], manifest["bytes"] / 1e6
    note = f"{looked_at} turns looked at, {lines} lines, {size:.0f} MB, {seconds:.1f} s in all"
    note += f", {usage.ru_utime + usage.ru_stime:.1f} s of computing"
    rate = looked_at / seconds
    print(f"{kind}: {rate:.0f} turns/s, {usage.ru_maxrss / 1024:.0f} MB; {note}", file=sys.stderr, flush=True)
    least = None if kind == HISTORY else LEAST_TURNS_A_SECOND  # its lines are as long as the conversation
    yield Row(f"export {kind}", rate, "turns/s", target=least, at_most=False, note=note)
    yield Row(f"export {kind}: memory", usage.ru_maxrss / 1024, "MB", target=MOST_MEGABYTES, at_most=True)
    out.unlink()


def _env(folder: Path) -> dict[str, str]:
    return {**os.environ, "COACH_DATA_DIR": str(folder), "COACH_OFFLINE": "1", "LOG_LEVEL": "ERROR"}


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.export", description="Measures exports of training data.")
    parser.add_argument("kinds", nargs="*", metavar="kind", help=", ".join(KINDS))
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--data-dir", type=Path, help="keep the turns here and use them again")
    options = parser.parse_args(given)
    folder = options.data_dir or Path(tempfile.mkdtemp(prefix="coach-bench-"))
    try:
        if not (folder / "coach.sqlite3").exists():
            folder.mkdir(parents=True, exist_ok=True)
            for command in ("migrate", "create_default_coaches"):
                subprocess.run(
                    [sys.executable, "manage.py", command], cwd=ROOT, env=_env(folder), check=True, stdout=sys.stderr
                )
            print(f"making {options.turns} turns …", file=sys.stderr, flush=True)
            fill(folder / "coach.sqlite3", options.turns)
        rows = [row for kind in options.kinds or KINDS for row in measure(folder, kind)]
    finally:
        if options.data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(rows)
    print(f"\nwritten to {write_json(rows, 'export')}")
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
