"""One turn with a fake model and given passages: what is sent, in which order, and what comes out."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

from coach import turn as turn_module
from coach.models import Turn
from coach.prompting import NumberedSource, PastTurn
from coach.questions import is_question, standalone
from coach.selectors import KnownSource, TurnContext
from coach.turn import final_event, fresh_tokens, run_turn
from knowledge.types import Passage, SearchResult
from llm import first_words, health
from llm.errors import ServerFailed
from llm.tokens import prompt_tokens
from llm.types import ModelId, Place, Usage
from tests.fakes import FakeLanguageModel

PASSAGE = Passage(
    chunk=7,
    document=str(uuid.uuid4()),
    title="Building habits",
    location="How habits form",
    text="A habit needs a cue, a routine and a reward. Lally found that it takes about two months.",
    score=0.9,
)


class Events(list[tuple[str, dict[str, Any]]]):
    async def __call__(self, type_: str, data: dict[str, Any]) -> None:
        self.append((type_, data))

    def types(self) -> list[str]:
        return [type_ for type_, _data in self]

    def text(self) -> str:
        return "".join(data["text"] for type_, data in self if type_ == "token")


def context(question: str = "How do habits form?", **values: Any) -> TurnContext:
    given = {
        "turn": uuid.uuid4(),
        "conversation": uuid.uuid4(),
        "position": 0,
        "question": question,
        "language": "en",
        "coach": "personal",
        "mode": "personal",
        "coach_prompt": "",
        "language_models": "",
        "bases": (1,),
        "past": (),
        "sources": (),
        "sources_from": 0,
        "stop_requested": False,
    }
    return TurnContext(**{**given, **values})


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, SearchResult]:
    """What the search finds; a test may change it."""
    result = {"result": SearchResult(passages=(PASSAGE,), covered=True)}

    async def search(*_args: Any, **_kwargs: Any) -> SearchResult:
        return result["result"]

    monkeypatch.setattr(turn_module.retrieval, "search", search)
    return result


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, found: Any) -> Any:
    """Make these models the ones that are asked, in this order."""

    def use(*models: FakeLanguageModel) -> None:
        by_id = {model.id: model for model in models}
        monkeypatch.setattr(turn_module.policy, "resolve", lambda _text, **_asked: [model.id for model in models])
        monkeypatch.setattr("llm.switcher.language_model", by_id.__getitem__)
        monkeypatch.setattr("coach.turn.language_model", by_id.__getitem__)
        monkeypatch.setattr("coach.asking.language_model", by_id.__getitem__)

    return use


async def test_sources_come_before_the_text_and_the_answer_cites_them(use: Any) -> None:
    model = FakeLanguageModel(text="A cue starts it [1]. And [4] is nothing. What is your cue?")
    use(model)
    events = Events()
    outcome = await run_turn(context(), events)
    assert events.types()[0] == "sources"
    assert events[0][1]["sources"][0]["n"] == 1
    assert events[0][1]["sources"][0]["text"] == PASSAGE.text
    assert events.text() == outcome.answer == "A cue starts it [1]. And is nothing. What is your cue?"
    assert (outcome.state, outcome.citations, outcome.grounded) == (Turn.State.DONE, [1], True)
    assert [new.n for new in outcome.new_sources] == [1]
    assert "[1] A habit needs a cue" in model.requests[0].messages[-1].content
    assert final_event(outcome)[0] == "done"


async def test_the_first_word_counts_as_awaited_until_the_sources_are_shown(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited: list[int] = []

    async def search(*_args: Any, **_kwargs: Any) -> SearchResult:
        awaited.append(first_words.count())
        return SearchResult(passages=(PASSAGE,), covered=True)

    async def emit(type_: str, _data: dict[str, Any]) -> None:
        if type_ in ("sources", "token"):
            awaited.append(first_words.count())

    monkeypatch.setattr(turn_module.retrieval, "search", search)
    use(FakeLanguageModel(text="A cue starts it [1]."))
    await run_turn(context(), emit)
    assert awaited[:2] == [1, 1]
    assert set(awaited[2:]) == {0}


async def test_a_passage_keeps_its_number_and_is_not_sent_again(use: Any) -> None:
    model = FakeLanguageModel()
    use(model)
    known = KnownSource(3, 7, PASSAGE.document, PASSAGE.title, PASSAGE.location, PASSAGE.text, PASSAGE.text)
    events = Events()
    shown = (NumberedSource(3, PASSAGE.title, PASSAGE.text),)
    past = (PastTurn(0, "What is a habit?", "A loop [3].", "en", grounded=True, sources=shown),)
    outcome = await run_turn(context(sources=(known,), past=past, position=1), events)
    assert [source["n"] for source in events[0][1]["sources"]] == [3]
    assert outcome.new_sources == []
    assert PASSAGE.text[:30] not in model.requests[0].messages[-1].content


async def test_what_the_knowledge_does_not_cover_is_said_before_the_model_speaks(use: Any, found: Any) -> None:
    found["result"] = SearchResult(passages=(PASSAGE,), covered=False)
    use(FakeLanguageModel(text="Perhaps ask a colleague [1]?"))
    events = Events()
    outcome = await run_turn(context("What is the capital of Peru?"), events)
    assert events[0] == ("sources", {"sources": []})
    assert outcome.answer.startswith("My knowledge base has nothing about this")
    assert (outcome.grounded, outcome.citations, outcome.new_sources) == (False, [], [])
    assert "[1]" not in events.text()


async def test_a_greeting_gets_no_lecture_about_the_knowledge(use: Any, found: Any) -> None:
    found["result"] = SearchResult(passages=(), covered=False)
    use(FakeLanguageModel(text="Hello! What is on your mind?"))
    outcome = await run_turn(context("Hello there"), Events())
    assert outcome.answer == "Hello! What is on your mind?"


async def test_a_sentence_without_a_source_is_marked(use: Any) -> None:
    use(FakeLanguageModel(text="A habit needs a cue, a routine and a reward [1]. Caesar bred silver dolphins in Gaul."))
    outcome = await run_turn(context(), Events())
    [(start, end)] = outcome.unsupported
    assert outcome.answer[start:end] == "Caesar bred silver dolphins in Gaul."
    assert (outcome.grounded, outcome.notices) == (True, [])
    assert final_event(outcome)[1]["unsupported"] == [[start, end]]


async def test_an_answer_that_no_source_supports_says_so(use: Any) -> None:
    use(FakeLanguageModel(text="Caesar bred silver dolphins in Gaul for all his children [1]."))
    events = Events()
    outcome = await run_turn(context(), events)
    assert (outcome.grounded, outcome.citations) == (False, [])
    assert [told["code"] for told in outcome.notices] == ["unsupported"]
    assert events[-1][0] == "notice"
    assert outcome.answer == "Caesar bred silver dolphins in Gaul for all his children."


async def test_what_is_said_of_the_answer_is_in_its_language(use: Any, found: dict[str, SearchResult]) -> None:
    text = "En vana behöver en signal, en rutin och en belöning som du märker genast."
    found["result"] = SearchResult(passages=(replace(PASSAGE, text=text),), covered=True)
    use(FakeLanguageModel(text="Caesar födde upp silverdelfiner i Gallien åt alla sina barn."))
    outcome = await run_turn(replace(context("Hur börjar jag med en vana?"), language="sv"), Events())
    assert [told["message"] for told in outcome.notices] == [
        "Källorna som hittades säger inget om det här. Svaret är modellens eget."
    ]


async def test_while_documents_are_read_in_nothing_found_says_so(use: Any, found: dict[str, SearchResult]) -> None:
    use(FakeLanguageModel(text="A thought. What would help?"))
    found["result"] = SearchResult(passages=(), covered=False, unread=12)
    outcome = await run_turn(context(), Events())
    [told] = outcome.notices
    assert (told["code"], told["documents"]) == ("reading", 12)
    assert told["message"] == "The coach is still reading 12 documents; ask again in a moment."


async def test_our_own_words_before_an_answer_are_not_in_the_next_prompt(
    use: Any, found: dict[str, SearchResult]
) -> None:
    """A small model repeated them: 'My knowledge base has nothing about this' stood there twice."""
    found["result"] = SearchResult(passages=(), covered=False)
    model = FakeLanguageModel(text="A thought. What would help?")
    use(model)
    first = await run_turn(context("What is the tallest mountain?"), Events())
    assert first.answer.startswith("My knowledge base has nothing about this")
    past = PastTurn(0, "What is the tallest mountain?", first.answer, "en", grounded=False)
    await run_turn(context("And the next one?", position=1, past=(past,)), Events())
    assert model.requests[1].messages[-2].content == "A thought. What would help?"


async def test_a_crisis_reaches_no_model(use: Any) -> None:
    model = FakeLanguageModel()
    use(model)
    events = Events()
    outcome = await run_turn(context("I want to kill myself"), events)
    assert events.types() == ["notice", "token"]
    assert events[0][1]["card"]["helplines"]
    assert model.requests == []
    assert (outcome.safety, outcome.model, outcome.state) == ("acute", "", Turn.State.DONE)
    assert outcome.answer == events.text()


async def test_a_heavy_message_gets_the_card_and_then_the_coach(use: Any) -> None:
    use(FakeLanguageModel())
    events = Events()
    outcome = await run_turn(context("Everything is so hopeless and I feel hopeless"), events)
    assert events.types()[:2] == ["notice", "sources"]
    assert outcome.safety == "elevated"
    assert outcome.model == "fake:model"


async def test_a_model_that_breaks_off_is_replaced_with_a_reset_and_a_notice(use: Any) -> None:
    broken = FakeLanguageModel(
        text="one two three four", error=ServerFailed("500"), error_after=2, id=ModelId("fake", "a")
    )
    second = FakeLanguageModel(text="The whole answer.", id=ModelId("fake", "b"))
    use(broken, second)
    events = Events()
    outcome = await run_turn(context(), events)
    assert "reset" in events.types()
    after = events[events.types().index("reset") :]
    assert "".join(data["text"] for type_, data in after if type_ == "token") == outcome.answer == "The whole answer."
    assert outcome.model == "fake:b"
    assert [notice["code"] for notice in outcome.notices] == ["fallback"]


async def test_when_every_model_fails_the_turn_fails_in_plain_words(use: Any) -> None:
    use(FakeLanguageModel(error=ServerFailed("secret details")))
    outcome = await run_turn(context(), Events())
    assert outcome.state == Turn.State.FAILED
    kind, data = final_event(outcome)
    assert kind == "failed"
    assert data["code"] == "no_model"
    assert "secret" not in data["message"]


async def test_stop_keeps_the_text_and_closes_the_model(use: Any) -> None:
    model = FakeLanguageModel(text="A cue starts it [1]. never", hold=asyncio.Event())
    use(model)
    stop, events = asyncio.Event(), Events()
    task = asyncio.create_task(run_turn(context(), events, stop))
    while "token" not in events.types():
        await asyncio.sleep(0.01)
    stop.set()
    task.cancel()
    outcome = await task
    assert outcome.state == Turn.State.STOPPED
    assert outcome.answer.startswith("A cue")
    assert "never" not in outcome.answer
    assert model.closed == 1
    assert final_event(outcome)[0] == "stopped"


async def test_a_cancelled_task_that_nobody_stopped_stays_cancelled(use: Any) -> None:
    use(FakeLanguageModel(hold=asyncio.Event()))
    events = Events()
    task = asyncio.create_task(run_turn(context(), events, asyncio.Event()))
    while "token" not in events.types():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cloud_model_that_takes_over_is_named(use: Any) -> None:
    use(
        FakeLanguageModel(error=ServerFailed("x"), id=ModelId("fake", "a")),
        FakeLanguageModel(id=ModelId("fake", "b"), place=Place.CLOUD),
    )
    outcome = await run_turn(context(), Events())
    assert [notice["code"] for notice in outcome.notices] == ["fallback", "cloud"]
    assert outcome.place == "cloud"


def test_short_follow_ups_take_the_question_before_them_along() -> None:
    from coach.prompting import PastTurn

    past = [PastTurn(0, "How do habits form?", "…", "en", True)]
    assert standalone("Why?", past) == "How do habits form? Why?"
    assert standalone("Why?", []) == "Why?"
    assert standalone("What does Lally say about the number of days?", past).startswith("What does Lally")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How are habits made?", True),
        ("습관은 어떻게 생기나요", True),
        ("Hej", False),
        ("Thanks!", False),
        ("?", False),
    ],
)
def test_questions_are_recognised(text: str, expected: bool) -> None:
    assert is_question(text) is expected


def test_the_budget_of_fresh_tokens_is_bounded() -> None:
    assert 120 <= fresh_tokens([ModelId("llamacpp")], "en") <= 300
    assert fresh_tokens([ModelId("openai", "x")], "en") > 600


def test_the_budget_follows_what_the_model_makes_of_a_language() -> None:
    model = ModelId("llamacpp", "measured")
    for language, tokens in (("en", 380), ("sv", 550)):
        usage = Usage(prompt_tokens=tokens, cached_prompt_tokens=0, prompt_tokens_per_second=100.0)
        health.succeeded(model, usage, estimated=500, language=language)
    assert [fresh_tokens([model], language) for language in ("en", "sv", "nb")] == [302, 209, 229]
    health.forget()


async def test_all_that_is_new_fits_the_budget(use: Any, found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question and the words around the sources count, too."""
    text = " ".join(f"Sentence {number} says a little more about habits." for number in range(40))
    some = tuple(replace(PASSAGE, chunk=chunk, text=text) for chunk in (11, 12, 13))
    found["result"] = SearchResult(passages=some, covered=True)
    monkeypatch.setattr(turn_module, "fresh_tokens", lambda _models, _language: 220)
    model = FakeLanguageModel()
    use(model)
    outcome = await run_turn(context(), Events())
    assert len(outcome.new_sources) == 3
    assert prompt_tokens([model.requests[0].messages[-1]]) <= 220 + 15


async def test_what_is_about_the_conversation_brings_nothing_new(use: Any, found: Any) -> None:
    other = replace(PASSAGE, chunk=8, text="Something else about habits entirely.")
    found["result"] = SearchResult(passages=(other, PASSAGE), covered=True)
    known = KnownSource(3, 7, PASSAGE.document, PASSAGE.title, PASSAGE.location, PASSAGE.text, PASSAGE.text)
    use(FakeLanguageModel(text="Shorter: a cue starts it [3]."))
    events = Events()
    outcome = await run_turn(context("Can you say that more shortly?", sources=(known,)), events)
    assert [source["n"] for source in events[0][1]["sources"]] == [3]
    assert (outcome.new_sources, outcome.citations) == ([], [3])


async def test_what_is_about_the_conversation_is_no_gap_of_the_knowledge(use: Any, found: Any) -> None:
    found["result"] = SearchResult(passages=(), covered=False)
    model = FakeLanguageModel(text="In short: begin small.")
    use(model)
    outcome = await run_turn(context("Can you say that more shortly?"), Events())
    assert outcome.answer == "In short: begin small."
    assert "knowledge base" not in model.requests[0].messages[-1].content
