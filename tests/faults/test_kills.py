"""`kill -9` in mid-answer: nothing is lost, nothing is doubled, and what could not be saved says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from bench.application import ROOT
from bench.client import plain
from bench.fake_model import answer_text
from tests.live import FINAL, Live, Socket, reconnect, sequence, text_of

QUESTION = "How do I set a goal that I will really reach?"
PACE = "pace-50-40-150"  # six seconds: long enough to kill something in the middle
DAY = "pace-50-40-100000"


@pytest.fixture(autouse=True)
def whole_again(live: Live) -> Any:
    """Every test leaves a running application to the next one."""
    yield
    live.wait_until_ready()


def begin(live: Live, socket: Socket, pace: str = PACE) -> tuple[str, list[dict[str, Any]]]:
    """A turn of which three tokens have been seen."""
    turn = socket.ask(live.talk(live.alice, live.pace(pace)), QUESTION)
    return turn, [frame for _ in range(3) for frame in socket.until("token")]


def check_whole(live: Live, turn: str, frames: list[dict[str, Any]], pace: str = PACE) -> None:
    """The text on the screen is the model's, once, and it is what is stored."""
    assert frames[-1]["type"] == "done"
    assert plain(text_of(frames)) == plain(answer_text(pace)) == plain(frames[-1]["answer"])
    stored = live.turn(live.alice, turn)
    assert (stored["state"], stored["answer"]) == ("done", frames[-1]["answer"])
    assert live.sql("SELECT count(*) FROM coach_turn WHERE id = ?", uuid.UUID(turn).hex) == [(1,)]


def attempts(live: Live, turn: str) -> int:
    return int(live.sql("SELECT attempts FROM coach_turn WHERE id = ?", uuid.UUID(turn).hex)[0][0])


def test_the_web_process_dies_in_mid_answer(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn, frames = begin(live, socket)
        live.kill("web")
    again = reconnect(live, live.alice)
    with again.connection:
        again.resume(turn, frames[-1]["seq"])
        rest = again.until(*FINAL)
    assert sequence(frames + rest) == list(range(1, rest[-1]["seq"] + 1))
    assert "reset" not in {frame["type"] for frame in rest}
    assert attempts(live, turn) == 1
    check_whole(live, turn, frames + rest)


def test_the_runner_dies_in_mid_answer(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn, frames = begin(live, socket)
        live.kill("runner")
        frames += socket.until(*FINAL)
    kinds = [frame["type"] for frame in frames]
    assert kinds.count("reset") == 1 and kinds.count("done") == 1
    assert sequence(frames) == list(range(1, frames[-1]["seq"] + 1))
    assert attempts(live, turn) == 2
    check_whole(live, turn, frames)
    conversation = live.turn(live.alice, turn)["conversation"]
    rows = live.sql(
        "SELECT n, chunk_id FROM coach_source WHERE conversation_id = ? ORDER BY n", uuid.UUID(conversation).hex
    )
    assert [n for n, _ in rows] == list(range(1, len(rows) + 1))
    assert len({chunk for _, chunk in rows}) == len(rows) > 0


def test_web_and_runner_die_together(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn, frames = begin(live, socket)
        live.kill("runner")
        live.kill("web")
    again = reconnect(live, live.alice)
    with again.connection:
        again.resume(turn, frames[-1]["seq"])
        frames += again.until(*FINAL)
    check_whole(live, turn, frames)


def test_three_dead_runners_fail_the_turn_with_a_reason(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn, _frames = begin(live, socket, DAY)
        for attempt in (1, 2, 3):
            live.wait_for(f"attempt {attempt}", lambda wanted=attempt: attempts(live, turn) == wanted)
            if attempt > 1:
                socket.until("reset")
                socket.until("token")
            live.kill("runner")
        last = socket.until(*FINAL)[-1]
    assert (last["type"], last["code"]) == ("failed", "runner_lost")
    stored = live.turn(live.alice, turn)
    assert stored["state"] == "failed" and stored["failure"]
    assert attempts(live, turn) == 3


def test_the_broker_dies_in_mid_answer(live: Live) -> None:
    """Valkey comes back with its append-only file or without it; the answer is in the database either way."""
    with live.socket(live.alice) as socket:
        turn, frames = begin(live, socket)
        live.kill("valkey")
        frames += socket.until(*FINAL)
        assert frames[-1]["type"] == "done"
        assert plain(text_of(frames)) == plain(answer_text(PACE))
        live.wait_until_ready()
        second = socket.ask(live.turn(live.alice, turn)["conversation"], "And what is the first step?")
        assert socket.until(*FINAL, turn=second)[-1]["type"] == "done"
    assert live.turn(live.alice, turn)["answer"] == frames[-1]["answer"]


@pytest.fixture
def second_runner(live: Live) -> Iterator[int]:
    """One more runner of the same installation; its process id."""
    command = [sys.executable, "manage.py", "runworker", "turns"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=live.application.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield process.pid
    process.terminate()
    process.wait(20)


def test_a_runner_that_hangs_is_replaced_and_cannot_write_any_more(live: Live, second_runner: int) -> None:
    """SIGSTOP instead of SIGKILL: the runner that wakes up later finds the log and the row closed to it."""
    with live.socket(live.alice) as socket:
        turn, frames = begin(live, socket)
        owner = int(
            live.sql("SELECT lease_owner FROM coach_turn WHERE id = ?", uuid.UUID(turn).hex)[0][0].split(":")[1]
        )
        assert owner in {*live.pids("runner"), second_runner}
        os.kill(owner, signal.SIGSTOP)
        try:
            frames += socket.until("reset") + socket.until("token")
        finally:
            os.kill(owner, signal.SIGCONT)
        frames += socket.until(*FINAL)
    assert attempts(live, turn) == 2
    assert sequence(frames) == list(range(1, frames[-1]["seq"] + 1))
    check_whole(live, turn, frames)


@pytest.mark.slow  # the sweeper takes up what has waited for a minute
def test_an_upload_while_the_broker_is_down_is_indexed_later(live: Live) -> None:
    token = live.ada.token
    base = live.application.helper("base", f"faults-{uuid.uuid4().hex[:8]}")
    text = "# Lanterns\n\nA lantern walk is a coaching exercise in which two people walk and ask each other questions."
    live.kill("valkey")
    [document] = live.application.upload(base, {"lanterns.md": text.encode()}, token=token)
    assert document["state"] == "pending"

    def ready() -> bool:
        return bool(
            live.application.call("GET", f"/api/v1/documents/{document['id']}", token=token)["state"] == "ready"
        )

    live.wait_for("indexing", ready, patience=150)
    found = live.application.call(
        "POST", f"/api/v1/knowledge-bases/{base}/search", token=token, body={"query": "lantern walk"}
    )
    assert "lantern" in json.dumps(found)


@pytest.mark.slow  # the dead worker's lease runs out after a minute
def test_a_worker_killed_while_it_indexes_loses_nothing(live: Live) -> None:
    token = live.ada.token
    base = live.application.helper("base", f"faults-{uuid.uuid4().hex[:8]}")
    files = {
        f"note-{n}.md": f"# Note {n}\n\n{' '.join(f'Word{n}x{i} stands here.' for i in range(300))}".encode()
        for n in range(6)
    }
    made = live.application.upload(base, files, token=token)
    count = "SELECT count(*) FROM knowledge_document WHERE state = 'processing'"
    live.wait_for("the worker", lambda: live.sql(count)[0][0])
    live.kill("worker")
    assert live.application.wait_for_documents(base) == {"ready": len(made)}
    total, distinct = live.sql(
        "SELECT count(*), count(DISTINCT document_id || ':' || position) FROM knowledge_chunk WHERE document_id IN"
        " (SELECT id FROM knowledge_document WHERE base_id = (SELECT id FROM knowledge_knowledgebase WHERE slug = ?))",
        base,
    )[0]
    assert total == distinct >= len(made)
