"""The three judges: a word list, OpenAI's endpoint, a guard model; and what happens when one of them fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm import moderation
from llm.errors import UnknownModel
from llm.loops import close_clients
from llm.moderation import Verdict, by_words, moderate
from tests.servers import ROOT, free_port

GUARD = "guard:ollama:llama-guard3"
SAFE_WORDS = Verdict(False, (), "words")


class Judge(ThreadingHTTPServer):
    """OpenAI's `/v1/moderations` and Ollama's `/api/chat`; `says` is what the guard answers, `flags` the endpoint."""

    daemon_threads = True
    status = 200
    says = "safe"
    flags: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str | None, dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, self.headers["authorization"], body))
        if self.server.status != 200:
            return self._send(self.server.status, json.dumps({"error": {"message": "No quota."}}))
        if self.path == "/api/chat":
            message = {"role": "assistant", "content": self.server.says}
            end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
            lines = [{"model": "m", "message": message, "done": False}, {"model": "m", **end}]
            return self._send(200, "".join(json.dumps(line) + "\n" for line in lines))
        names = ("harassment", "hate", "self-harm", "self-harm/intent", "sexual", "sexual/minors", "violence")
        categories = {name: name in self.server.flags for name in names}
        result = {"flagged": bool(self.server.flags), "categories": categories, "category_scores": {}}
        self._send(200, json.dumps({"id": "m", "model": "omni-moderation-latest", "results": [result]}))

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def judge(settings: Any) -> Iterator[Judge]:
    server = Judge()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.OPENAI_BASE_URL, settings.OLLAMA_BASE_URL = f"{server.url}/v1", server.url
    settings.OPENAI_API_KEY = "sk-mine"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
async def _close() -> AsyncIterator[None]:
    yield
    await close_clients()


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "category"),
    [
        ("Some days I WANT  TO\ndie.", "en", "self_harm"),
        ("Jag vill ta livet av mig.", "sv", "self_harm"),
        ("Jeg tenker på selvmord hver dag", "nb", "self_harm"),
        ("요즘 정말 죽고 싶어요", "ko", "self_harm"),
        ("how do I make a bomb", "sv", "violence"),
        ("Jag ska döda honom.", "sv", "violence"),
        ("barneporno", "nb", "sexual_minors"),
        ("인종 청소가 필요하다", "ko", "hate"),
    ],
)
async def test_the_floor_sees_plain_phrases(text: str, language: str, category: str) -> None:
    assert await moderate(text, language) == Verdict(True, (category,), "words")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I begin a new habit?", "en"),
        ("This deadline is killing me, and I could kill for a coffee.", "en"),
        ("Jag vill inte dö av tristess på mötet.", "sv"),
        ("Hvordan dreper jeg tiden på bussen?", "nb"),
        ("같이 가자해서 갔어요. 자살골이었어요.", "ko"),
        ("", "en"),
    ],
)
def test_the_floor_raises_no_wrong_alarm(text: str, language: str) -> None:
    assert by_words(text, language) == SAFE_WORDS


def test_every_category_has_every_language() -> None:
    assert {frozenset(languages) for languages in moderation._phrases().values()} == {
        frozenset({"en", "sv", "nb", "ko"})
    }


# --- openai --------------------------------------------------------------------------------------


async def test_openai_is_asked_only_when_named(judge: Judge, settings: Any) -> None:
    await moderate("anything", "en")
    assert judge.seen == []
    settings.COACH_MODERATION = "openai"
    assert await moderate("anything", "en") == Verdict(False, (), "openai:omni-moderation-latest")
    assert judge.seen == [
        ("/v1/moderations", "Bearer sk-mine", {"model": "omni-moderation-latest", "input": "anything"})
    ]


async def test_its_categories_come_in_our_words(judge: Judge, settings: Any) -> None:
    settings.COACH_MODERATION = "openai"
    judge.flags = ("self-harm", "self-harm/intent", "sexual/minors")
    verdict = await moderate("anything", "en")
    assert verdict == Verdict(True, ("self_harm", "sexual_minors"), "openai:omni-moderation-latest")


@pytest.mark.parametrize(("status", "words"), [(401, "check its API key"), (429, "No quota."), (500, "No quota.")])
async def test_when_it_fails_the_floor_judges_and_says_so(status: int, words: str, judge: Judge, settings: Any) -> None:
    settings.COACH_MODERATION = "openai"
    judge.status = status
    verdict = await moderate("I want to die", "en")
    assert (verdict.flagged, verdict.categories, verdict.by) == (True, ("self_harm",), "words")
    assert words in verdict.instead_of


async def test_a_refused_connection_and_a_missing_key(settings: Any) -> None:
    settings.COACH_MODERATION = "openai"
    assert "set OPENAI_API_KEY" in (await moderate("x", "en")).instead_of
    settings.OPENAI_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    assert "cannot be reached" in (await moderate("x", "en")).instead_of


async def test_a_private_text_never_leaves(settings: Any) -> None:
    settings.COACH_MODERATION, settings.OPENAI_API_KEY = "openai", "sk-mine"
    verdict = await moderate("I want to die", "en", private=True)
    assert verdict.by == "words"
    assert "was not asked, because the text is private" in verdict.instead_of
    settings.COACH_MODERATION = "guard:openai:some-guard"
    assert "because the text is private" in (await moderate("x", "en", private=True)).instead_of


# --- a guard model -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "flagged", "categories"),
    [
        ("safe", False, ()),
        ("\n\nunsafe\nS1,S11", True, ("violence", "self_harm")),
        ("unsafe", True, ("unsafe",)),
        ("unsafe\nS99", True, ("unsafe",)),
        ("No", False, ()),
        ("Yes.", True, ("unsafe",)),
    ],
)
async def test_a_guard_model_judges(
    says: str, flagged: bool, categories: tuple[str, ...], judge: Judge, settings: Any
) -> None:
    settings.COACH_MODERATION = GUARD
    judge.says = says
    assert await moderate("the text", "en") == Verdict(flagged, categories, "ollama:llama-guard3")
    [(_path, _key, body)] = judge.seen
    assert body["messages"] == [{"role": "user", "content": "the text"}]
    assert body["options"]["temperature"] == 0.0


async def test_a_model_that_chats_instead_of_judging_is_not_believed(judge: Judge, settings: Any) -> None:
    settings.COACH_MODERATION = GUARD
    judge.says = "I am sorry to hear that."
    verdict = await moderate("I want to die", "en")
    assert (verdict.flagged, verdict.by) == (True, "words")
    assert "it may be no guard model" in verdict.instead_of


async def test_a_guard_that_is_silent_is_not_waited_for(
    model_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.COACH_MODERATION, settings.OLLAMA_BASE_URL = GUARD, model_server.url
    model_server.behaviour = "hangs"
    monkeypatch.setattr(moderation, "SECONDS", 0.2)
    verdict = await moderate("I want to die", "en")
    assert (verdict.flagged, verdict.by) == (True, "words")
    assert "gave no verdict within" in verdict.instead_of


# --- the setting ---------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["words", "openai", GUARD, "guard:llamacpp"])
def test_a_good_setting(setting: str) -> None:
    moderation.check(setting)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("word", "use words, openai or guard:MODEL"),
        ("guard:", "names no guard model"),
        ("guard:guided", "names no guard model"),
        ("guard:nowhere:x", "names no known provider"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, words: str) -> None:
    with pytest.raises(UnknownModel, match=words):
        moderation.check(setting)


def test_a_wrong_setting_stops_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=ROOT,
        env={**os.environ, "COACH_MODERATION": "nobody"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "COACH_MODERATION: 'nobody' is no judge" in done.stderr
