"""A new index under load: no search fails or is empty, and a worker that is killed while it builds only delays."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from contextlib import closing
from typing import Any

import pytest

from tests.live import Live

SENTENCE = "a lantern walk is an exercise in which two people walk and ask each other questions about their goals"
WORDS = SENTENCE.split()
REMEMBERED_SECONDS = 6.0  # searches remember for five which generation is live


class Searches(threading.Thread):
    """Asks as long as it may and keeps what was wrong."""

    def __init__(self, live: Live, base: str) -> None:
        super().__init__(daemon=True)
        self._live, self._base = live, base
        self.asked = 0
        self.wrong: list[str] = []
        self.done = threading.Event()

    def run(self) -> None:
        path = f"/api/v1/knowledge-bases/{self._base}/search"
        while not self.done.is_set():
            try:
                found = self._live.application.call(
                    "POST", path, token=self._live.ada.token, body={"query": f"lantern walk {self.asked % 7}", "k": 3}
                )
            except Exception as error:  # whatever it is, it must not happen
                self.wrong.append(repr(error))
            else:
                if found["degraded"] or not found["passages"]:
                    self.wrong.append(found["degraded"] or "empty")
            self.asked += 1


def article(number: int) -> bytes:
    parts = [f"## Part {part}\n\n" + " ".join(WORDS[at % 19] for at in range(part, part + 150)) for part in range(6)]
    return f"# Article {number}\n\n{chr(10).join(parts)}\n".encode()


def call(live: Live, method: str, path: str, body: Any = None) -> Any:
    return live.application.call(method, f"/api/v1/knowledge-bases/{path}", token=live.ada.token, body=body)


def state_of(live: Live, base: str, generation: int) -> dict[str, Any]:
    return dict(call(live, "GET", f"{base}/generations/{generation}"))


def cut_by_an_older_rule(live: Live, base: str) -> None:
    """As if another release had cut these documents: the next generation has to cut them again."""
    with closing(sqlite3.connect(live.application.data_dir / "coach.sqlite3", timeout=20)) as connection:
        connection.execute(
            "UPDATE knowledge_splitting SET splitter = 'older-rule' WHERE base_id ="
            " (SELECT id FROM knowledge_knowledgebase WHERE slug = ?)",
            [base],
        )
        connection.commit()


def check_whole(live: Live, base: str, generation: int) -> None:
    """Every document once, as this generation cuts it, and Chroma was found to hold just that."""
    [(splitting, verified)] = live.sql(
        "SELECT splitting_id, verified FROM knowledge_indexgeneration WHERE id = ?", generation
    )
    rows = live.sql(
        "SELECT document_id, count(*), count(DISTINCT position), min(position), max(position) FROM knowledge_chunk"
        " WHERE splitting_id = ? GROUP BY document_id",
        splitting,
    )
    documents = live.sql(
        "SELECT count(*) FROM knowledge_document WHERE state = 'ready' AND base_id ="
        " (SELECT id FROM knowledge_knowledgebase WHERE slug = ?)",
        base,
    )[0][0]
    assert len(rows) == documents
    assert all((count, low, high) == (distinct, 0, count - 1) for _, count, distinct, low, high in rows)
    assert json.loads(verified)["chunks"] == sum(row[1] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["in peace", "with a killed worker"])
def test_a_new_index_under_load(live: Live, killed: bool) -> None:
    base = live.application.helper("base", f"index-{uuid.uuid4().hex[:8]}")
    live.application.upload(base, {f"{n}.md": article(n) for n in range(15)}, token=live.ada.token)
    assert live.application.wait_for_documents(base) == {"ready": 15}
    [old] = call(live, "GET", f"{base}/generations")
    cut_by_an_older_rule(live, base)
    searches = [Searches(live, base) for _ in range(3)]
    for thread in searches:
        thread.start()
    made = call(live, "POST", f"{base}/generations", {})["id"]
    if killed:
        live.wait_for("the first vectors", lambda: state_of(live, base, made)["chunks_done"], 120)
        live.kill("worker")
    live.application.upload(base, {"late.md": article(99)}, token=live.ada.token)
    live.wait_for("the switch", lambda: state_of(live, base, made)["state"] == "live", 240)
    time.sleep(REMEMBERED_SECONDS)
    live.wait_for("the late one", lambda: live.application.wait_for_documents(base) == {"ready": 16})
    live.wait_for("comparing", lambda: _compared(live, base, made), 120)
    check_whole(live, base, made)
    call(live, "POST", f"{base}/generations/{made}/rollback")
    live.wait_for("going back", lambda: state_of(live, base, old["id"])["state"] == "live", 120)
    time.sleep(REMEMBERED_SECONDS)
    for thread in searches:
        thread.done.set()
        thread.join()
    check_whole(live, base, old["id"])
    assert [thread.wrong for thread in searches] == [[], [], []]
    assert sum(thread.asked for thread in searches) > 100


def _compared(live: Live, base: str, generation: int) -> bool:
    """The sweeper has seen that the index holds the late document."""
    try:
        check_whole(live, base, generation)
    except (AssertionError, KeyError):
        return False
    return True
