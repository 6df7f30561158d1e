"""Guided mode in four languages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from llm.providers.guided import QUOTE_CHARACTERS, answer, excerpt
from llm.providers.guided_texts import texts_for
from llm.registry import language_model
from llm.types import ChatRequest, Finished, Message, ModelId, Place, Quote, Token

QUOTES = [
    Quote(3, "The GROW model", "Goal, reality, options, will. Begin with the goal."),
    Quote(7, "Habits {1}", "A habit needs a cue; see [12]."),
    Quote(8, "Feedback", "Ask before you tell."),
    Quote(9, "Too many", "This one is left out."),
]
LABELS = {
    "en": "No language model is running",
    "sv": "körs ingen språkmodell",
    "nb": "kjører det ingen språkmodell",
    "ko": "언어 모델이 실행되고 있지 않아서",
}


@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
def test_it_says_what_it_is_quotes_with_numbers_and_asks(language: str, ask: ChatRequest) -> None:
    text = answer(replace(ask, language=language, quotes=QUOTES))
    label, *quotes, question = text.split("\n\n")
    assert LABELS[language] in label
    assert [re.findall(r"\[(\d+)\]", quote) for quote in quotes] == [["3"], ["7"], ["8"]]
    assert "Goal, reality, options, will. Begin with the goal." in quotes[0]
    assert "— Habits {1} [7]" in quotes[1]
    assert question in texts_for(language).questions
    assert question.endswith("?")


@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
def test_without_quotes_it_says_that_it_found_nothing(language: str, ask: ChatRequest) -> None:
    text = answer(replace(ask, language=language))
    assert LABELS[language] in text
    assert texts_for(language).nothing_found in text
    assert "[" not in text
    assert text.endswith("?")


@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
def test_the_question_follows_what_was_asked(language: str, ask: ChatRequest) -> None:
    asked = [replace(ask, language=language, messages=[Message("user", f"About {n}")]) for n in range(60)]
    questions = {answer(request).rsplit("\n\n", 1)[1] for request in asked}
    assert questions == set(texts_for(language).questions)
    assert len(questions) >= 4
    assert answer(asked[0]) == answer(asked[0])


def test_no_two_languages_share_a_sentence() -> None:
    sentences = [
        sentence
        for language in LABELS
        for sentence in (texts_for(language).label, texts_for(language).found, *texts_for(language).questions)
    ]
    assert len(sentences) == len(set(sentences))


@pytest.mark.parametrize(
    ("code", "like"), [("sv-FI", "sv"), ("NO", "nb"), ("nn", "nb"), ("ko_KR", "ko"), ("fr", "en"), ("", "en")]
)
def test_other_codes_find_their_language(code: str, like: str) -> None:
    assert texts_for(code) is texts_for(like)


async def test_it_streams_word_by_word(ask: ChatRequest) -> None:
    request = replace(ask, language="ko", quotes=QUOTES)
    model = language_model(ModelId("guided"))
    events = [event async for event in model.stream(request)]
    words = [event.text for event in events if isinstance(event, Token)]
    assert "".join(words) == answer(request)
    assert max(len(word.split()) for word in words) == 1
    assert isinstance(events[-1], Finished)
    assert model.place is Place.LOCAL
    assert (await model.check()).ok


def test_a_long_passage_ends_at_a_sentence_or_a_word() -> None:
    sentences = excerpt("This is one sentence of the passage. " * 20)
    assert len(sentences) <= QUOTE_CHARACTERS
    assert sentences.endswith("passage.")
    words = excerpt("wörter, " * 100)
    assert words.endswith("wörter …")
    assert len(words) <= QUOTE_CHARACTERS + 2
    assert excerpt("One\n  line.") == "One line."


def test_brackets_of_the_document_do_not_become_citations() -> None:
    assert excerpt("As shown in [2] and [10].") == "As shown in (2) and (10)."
