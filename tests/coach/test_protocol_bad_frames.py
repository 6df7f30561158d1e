"""Bad frames: each its typed error, the socket stays open, nothing is stored."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.live import FINAL, Live

HERE = str(uuid.uuid4())
LIMIT = 16 * 1024


def frame(type_: str, **values: Any) -> str:
    return json.dumps({"type": type_, **values})


def padded(size: int) -> str:
    """A valid question whose frame has exactly `size` bytes."""
    empty = frame("ask", turn=HERE, conversation=HERE, text="")
    return frame("ask", turn=HERE, conversation=HERE, text="x" * (size - len(empty)))


NOT_FRAMES = [
    ("", "not_json"),
    ("hello", "not_json"),
    ("{", "not_json"),
    ("[" * 15_000, "not_json"),
    ('{"type":"resume","turn":"' + HERE + '","after":' + "1" * 5000 + "}", "not_json"),
    ("[]", "not_a_message"),
    ("null", "not_a_message"),
    ('"ask"', "not_a_message"),
    ("{}", "not_a_message"),
    ('{"type":5}', "not_a_message"),
    ('{"type":null}', "not_a_message"),
    (frame("dance"), "unknown_type"),
    ('{"type":"\\ud800"}', "unknown_type"),
    (frame("x" * 5000), "unknown_type"),
    (b"\x00\x01", "not_text"),
    (frame("ask").encode(), "not_text"),
    (padded(LIMIT + 1), "too_large"),
    (padded(900_000), "too_large"),  # beyond 1 MiB the server itself ends the connection with 1009
]
NOT_VALUES = [
    (frame("ask"), "missing"),
    (frame("ask", turn=5, conversation=HERE, text="a"), "missing"),
    (frame("ask", turn="five", conversation=HERE, text="a"), "bad_id"),
    (frame("ask", turn=HERE + "\ud800", conversation=HERE, text="a"), "bad_id"),
    (frame("ask", turn=HERE, conversation="../../etc/passwd", text="a"), "bad_id"),
    (frame("ask", turn=HERE, conversation=HERE), "missing"),
    (frame("ask", turn=HERE, conversation=HERE, text=["a"]), "missing"),
    (frame("ask", turn=HERE, conversation=HERE, text="a"), "not_found"),
    (frame("stop"), "missing"),
    (frame("stop", turn="five"), "bad_id"),
    (frame("stop", turn=HERE), "not_found"),
    (frame("resume", turn=HERE), "not_found"),
    (frame("resume", turn=HERE, after=-1), "bad_seq"),
    (frame("resume", turn=HERE, after=1.5), "bad_seq"),
    (frame("resume", turn=HERE, after="1"), "bad_seq"),
    (frame("resume", turn=HERE, after=True), "bad_seq"),
    (frame("regenerate", turn=HERE), "missing"),
    (frame("regenerate", turn=HERE, new_turn=HERE), "not_found"),
    (frame("regenerate", turn=HERE, new_turn=HERE, text=None), "missing"),
    (frame("regenerate", turn=HERE, new_turn=HERE, text=["a"]), "missing"),
    (frame("regenerate", turn=HERE, new_turn=HERE, text="a"), "not_found"),
]


def check(live: Live, sent: str | bytes, code: str) -> None:
    before = live.turns()
    with live.socket(live.alice) as socket:
        socket.send(sent)
        error = socket.receive()
        assert (error["type"], error["code"]) == ("error", code)
        assert error["message"].endswith(".") and "Traceback" not in error["message"]
        assert "seq" not in error
        assert socket.is_alive()
    assert live.turns() == before


@pytest.mark.parametrize(("sent", "code"), NOT_FRAMES)
def test_what_is_no_message(live: Live, sent: str | bytes, code: str) -> None:
    check(live, sent, code)


@pytest.mark.parametrize(("sent", "code"), NOT_VALUES)
def test_what_is_missing_or_malformed(live: Live, sent: str, code: str) -> None:
    check(live, sent, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "empty"), ("  \n\t ", "empty"), ("\u0000", "empty"), ("x" * 4001, "too_long"), ("가" * 4001, "too_long")],
)
def test_questions_that_are_refused(live: Live, text: str, code: str) -> None:
    sent = json.dumps(
        {"type": "ask", "turn": str(uuid.uuid4()), "conversation": live.talk(live.alice), "text": text},
        ensure_ascii=False,
    )
    check(live, sent, code)


def test_a_frame_of_the_whole_limit_is_read(live: Live) -> None:
    with live.socket(live.alice) as socket:
        socket.send(padded(LIMIT))
        assert socket.receive()["code"] == "too_long"  # the frame was read; its question is longer than allowed


@pytest.mark.parametrize("kind", ["ask", "stop", "resume", "regenerate"])
def test_somebody_elses_is_not_there(live: Live, kind: str) -> None:
    """Every message type that names a turn or a conversation; the answer is the one for an unknown id."""
    talk = live.talk(live.alice)
    with live.socket(live.alice) as socket:
        turn = socket.ask(talk, "How do I begin with a habit?")
        socket.until(*FINAL)
    before, new = live.turns(), str(uuid.uuid4())
    values = {
        "ask": {"turn": new, "conversation": talk, "text": "Tell me more about this."},
        "stop": {"turn": turn},
        "resume": {"turn": turn, "after": 0},
        "regenerate": {"turn": turn, "new_turn": new},
    }
    with live.socket(live.bob) as socket:
        socket.send({"type": kind, **values[kind]})
        assert socket.receive()["code"] == "not_found"
        assert socket.is_alive()
    assert live.turns() == before


def test_the_id_of_somebody_elses_turn_cannot_be_taken(live: Live) -> None:
    with live.socket(live.alice) as socket:
        turn = socket.ask(live.talk(live.alice), "How do I begin with a habit?")
        answer = socket.until(*FINAL)[-1]["answer"]
    with live.socket(live.bob) as socket:
        socket.ask(live.talk(live.bob), "This is mine now.", turn)
        assert socket.receive()["code"] == "not_found"
    assert live.turn(live.alice, turn)["answer"] == answer


def test_half_a_surrogate_pair_is_stored_as_text(live: Live) -> None:
    """It is valid JSON; refusing it would lose the rest of the question."""
    with live.socket(live.alice) as socket:
        turn = socket.ask(live.talk(live.alice), "How do I \ud83d begin?")
        assert socket.until(*FINAL)[-1]["type"] == "done"
    assert live.turn(live.alice, turn)["question"] == "How do I ? begin?"


def test_without_a_token_or_a_session(live: Live) -> None:
    with live.socket(None) as socket:
        with suppress(ConnectionClosed):
            socket.send(frame("stop", turn=HERE))  # a frame that is on its way while the socket is closed
        assert socket.receive()["code"] == "unauthenticated"
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_an_unknown_token(live: Live) -> None:
    with live.socket(type(live.alice)("nobody", "coach_unknown")) as socket:
        assert socket.receive()["code"] == "unauthenticated"


def test_a_token_revoked_while_the_socket_is_open(live: Live) -> None:
    person = live.application.people(1)[0]
    talk, before = live.talk(person), live.turns()
    with live.socket(person) as socket:
        assert socket.is_alive()
        live.application.helper("revoke", person.name)
        socket.ask(talk, "May I still ask?")
        assert socket.receive()["code"] == "unauthenticated"
        with pytest.raises(ConnectionClosed):
            socket.receive()
    assert live.turns() == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://["])
def test_a_page_of_another_origin_gets_no_socket(live: Live, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, live.socket(live.alice, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_a_page_of_our_own_gets_one(live: Live) -> None:
    with live.socket(live.alice, origin=live.application.url) as socket:
        assert socket.is_alive()
