"""The websocket of CONTRACT.md over a real socket: what comes, in which order, and that nothing is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from websockets.sync.client import connect

from bench.application import ROOT, free_port
from bench.client import plain
from bench.fake_model import answer_text
from tests.live import FINAL, PATIENCE, Live, Socket, sequence, text_of

QUESTION = "How do I set a goal that I will really reach?"
SLOW = "pace-50-50-400"


def test_one_turn_from_question_to_answer(live: Live) -> None:
    talk = live.talk(live.alice)
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, QUESTION)
        frames = socket.until(*FINAL)
    kinds = [frame["type"] for frame in frames]
    assert kinds[0] == "accepted" and kinds[-1] == "done"
    assert kinds.index("sources") < kinds.index("token")
    assert {frame["turn"] for frame in frames} == {turn}
    assert sequence(frames) == list(range(1, len(frames)))
    done, sources = frames[-1], frames[kinds.index("sources")]["sources"]
    assert plain(text_of(frames)) == plain(done["answer"]) == plain(answer_text())
    assert [source["n"] for source in sources] == [1, 2, 3, 4][: len(sources)]
    assert all(source["title"] and source["text"] and source["document"] for source in sources)
    assert set(done["citations"]) <= {source["n"] for source in sources}
    assert done["citations"] and all(f"[{n}]" in done["answer"] for n in done["citations"])
    assert done["model"] == "openai:bench"
    assert done["usage"]["completion_tokens"] == 120
    assert {"retrieval", "first_token", "total"} <= done["timings"].keys()
    stored = live.turn(live.alice, turn)
    assert stored["state"] == "done" and stored["answer"] == done["answer"]
    assert stored["sources"] == sources and stored["citations"] == done["citations"]


def test_a_resend_is_one_turn_and_one_call_of_the_model(live: Live) -> None:
    talk, before = live.talk(live.alice), live.model.stats()["started"]
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, QUESTION)
        socket.ask(talk, QUESTION, turn)
        first = socket.until(*FINAL)
        socket.ask(talk, QUESTION, turn)
        again = socket.until(*FINAL)
    assert live.sql("SELECT count(*) FROM coach_turn WHERE id = ?", uuid.UUID(turn).hex) == [(1,)]
    assert live.model.stats()["started"] == before + 1
    assert again[0]["type"] == "accepted" and again[-1] == first[-1]


def test_resume_gives_the_rest_from_any_event(live: Live) -> None:
    talk = live.talk(live.alice)
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, QUESTION)
        frames = socket.until(*FINAL)[1:]
    last = frames[-1]["seq"]
    with live.socket(live.alice) as second:
        for after in (0, 1, 2, last // 2, last - 1):
            second.resume(turn, after)
            rest = second.until(*FINAL)
            assert rest == frames[after:]


def test_a_second_socket_joins_in_mid_answer(live: Live) -> None:
    talk = live.talk(live.alice, live.pace("pace-50-20-100"))
    with live.socket(live.alice) as first, live.socket(live.alice) as second:
        turn = first.ask(talk, QUESTION)
        begun = first.until("token")
        second.resume(turn, begun[-1]["seq"])
        rest = second.until(*FINAL)
        own = first.until(*FINAL)
    assert rest == own
    assert plain(text_of(begun) + text_of(rest)) == plain(answer_text("pace-50-20-100"))


@pytest.fixture
def second_web(live: Live) -> Iterator[int]:
    """Another web process of the same installation, as behind a load balancer; its port."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port), "--lifespan", "off"]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"], cwd=ROOT, env=live.application.environment, stdin=subprocess.DEVNULL
    )
    yield port
    process.terminate()
    process.wait(20)


def _connect_when_up(port: int, token: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            url = f"ws://127.0.0.1:{port}/ws/chat/"
            return connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_resume_from_another_web_process(live: Live, second_web: int) -> None:
    with _connect_when_up(second_web, live.alice.token) as connection:
        other = Socket(connection)
        with live.socket(live.alice) as socket:
            turn = socket.ask(live.talk(live.alice, live.pace("pace-50-20-100")), QUESTION)
            begun = socket.until("token")
        other.resume(turn, begun[-1]["seq"])
        rest = other.until(*FINAL)
    assert sequence(rest)[0] == begun[-1]["seq"] + 1
    assert plain(text_of(begun) + text_of(rest)) == plain(answer_text("pace-50-20-100"))


def test_when_the_log_is_gone_the_answer_comes_from_the_database(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn = socket.ask(live.talk(live.alice), QUESTION)
        done = socket.until(*FINAL)[-1]
        services = json.loads((live.application.data_dir / "run" / "services.json").read_text())
        with Redis.from_url(services["redis"]) as redis:
            assert redis.delete(f"turn:{turn}") == 1
        socket.resume(turn, 3)
        rest = socket.until(*FINAL)
    assert [frame["type"] for frame in rest] == ["reset", "sources", "token", "done"]
    assert min(sequence(rest)) > 3 and sequence(rest) == sorted(set(sequence(rest)))
    assert text_of(rest) == rest[-1]["answer"] == done["answer"]


def test_a_regenerated_answer_is_a_sibling_with_the_same_numbers(live: Live) -> None:
    talk = live.talk(live.alice)
    with live.socket(live.alice) as socket:
        turn, sibling = socket.ask(talk, QUESTION), str(uuid.uuid4())
        first = socket.until(*FINAL)
        socket.send({"type": "regenerate", "turn": turn, "new_turn": sibling})
        second = socket.until(*FINAL)
    assert second[0]["type"] == "accepted" and second[-1]["turn"] == sibling
    stored = live.turn(live.alice, sibling)
    assert stored["regenerates"] == turn and stored["position"] == live.turn(live.alice, turn)["position"]
    numbers = [
        {s["chunk"]: s["n"] for f in frames if f["type"] == "sources" for s in f["sources"]}
        for frames in (first, second)
    ]
    assert numbers[0] == numbers[1] != {}


def test_a_changed_question_is_searched_screened_and_answered_anew(live: Live) -> None:
    talk = live.talk(live.alice)
    changed = "I do not want to live any more. I will kill myself tonight."
    with live.socket(live.alice) as socket:
        turn, sibling = socket.ask(talk, QUESTION), str(uuid.uuid4())
        socket.until(*FINAL)
        frame = {"type": "regenerate", "turn": turn, "new_turn": sibling}
        for text, code in (("  ", "empty"), ("x" * 4001, "too_long")):
            socket.send({**frame, "text": text})
            refused = socket.receive()
            assert (refused["type"], refused["code"], refused["turn"]) == ("error", code, turn)
        socket.send({**frame, "text": changed})
        answered = socket.until(*FINAL)
        assert "card" in next(one for one in answered if one["type"] == "notice" and one["code"] == "safety")
        third = str(uuid.uuid4())
        socket.send({"type": "regenerate", "turn": sibling, "new_turn": third, "text": "How do I keep a habit alive?"})
        socket.until(*FINAL, turn=third)
    first, second, last = (live.turn(live.alice, one) for one in (turn, sibling, third))
    assert (second["question"], second["regenerates"], second["position"]) == (changed, turn, first["position"])
    assert (last["question"], last["regenerates"], last["state"]) == ("How do I keep a habit alive?", sibling, "done")
    assert not any(notice["code"] == "safety" for notice in last["notices"])


def test_sources_keep_their_numbers_over_the_turns_of_a_conversation(live: Live) -> None:
    talk, numbers = live.talk(live.alice), dict[int, int]()
    with live.socket(live.alice) as socket:
        for question in (QUESTION, "What makes a goal SMART, and which goals should I choose?", QUESTION):
            socket.ask(talk, question)
            for frame in socket.until(*FINAL):
                for source in frame.get("sources", []):
                    assert numbers.setdefault(source["chunk"], source["n"]) == source["n"]
    assert sorted(numbers.values()) == list(range(1, len(numbers) + 1))


def test_two_questions_at_once_are_answered_in_their_order(live: Live) -> None:
    talk = live.talk(live.alice)
    with live.socket(live.alice) as socket:
        turns = [socket.ask(talk, QUESTION), socket.ask(talk, "And how do I keep it?")]
        ended: list[str] = []
        while len(ended) < 2:
            ended.append(socket.until(*FINAL)[-1]["turn"])
    assert ended == turns
    assert [live.turn(live.alice, turn)["position"] for turn in turns] == [0, 1]


def test_stop_stops_the_model_and_keeps_what_was_written(live: Live) -> None:
    talk, before = live.talk(live.alice, live.pace(SLOW)), live.model.stats()["left"]
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, QUESTION)
        begun = socket.until("token") + socket.until("token")
        socket.send({"type": "stop", "turn": turn})
        frames = begun + socket.until(*FINAL)
        assert frames[-1]["type"] == "stopped"
        live.wait_for("the end of the model's answer", lambda: live.model.stats()["left"] == before + 1)
        assert socket.is_alive()
    assert live.model.stats()["active"] == 0
    stored = live.turn(live.alice, turn)
    assert stored["state"] == "stopped"
    assert stored["answer"] == frames[-1]["answer"]
    assert plain(stored["answer"]) == plain(text_of(frames))
    assert plain(answer_text(SLOW)).startswith(plain(stored["answer"]))


def test_stopping_twice_or_too_late_is_harmless(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn = socket.ask(live.talk(live.alice), QUESTION)
        done = socket.until(*FINAL)[-1]
        socket.send({"type": "stop", "turn": turn})
        socket.send({"type": "stop", "turn": turn})
        assert socket.is_alive()
    stored = live.turn(live.alice, turn)
    assert (stored["state"], stored["answer"]) == ("done", done["answer"])


@pytest.mark.parametrize("pace", ["fail-500", "fail-401", "break-50-10-100"])
def test_a_model_that_fails_is_replaced_and_the_coachee_is_told(live: Live, pace: str) -> None:
    """Guided mode is the last of every list; half an answer of the first model is never passed off as one."""
    talk = live.talk(live.alice, live.pace(pace))
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, QUESTION)
        frames = socket.until(*FINAL)
        assert socket.is_alive()
    notices = [frame["code"] for frame in frames if frame["type"] == "notice"]
    done = frames[-1]
    assert notices == ["fallback", "guided"]
    assert (done["type"], done["model"], done["place"]) == ("done", "guided", "local")
    assert plain(text_of(frames)) == plain(done["answer"])
    assert "A small step today" not in done["answer"]
    assert ("reset" in {frame["type"] for frame in frames}) == pace.startswith("break")
    assert [notice["code"] for notice in live.turn(live.alice, turn)["notices"]] == notices
