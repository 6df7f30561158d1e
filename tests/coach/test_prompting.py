"""The prompt is append-only, fits the context, and shows each source once."""

from coach.prompting import (
    LANGUAGES,
    NumberedSource,
    PastTurn,
    build,
    excerpt,
    label,
    opening,
    sentences,
    system_text,
    user_text,
)
from llm.types import Message


def turn(position: int, *, sources: tuple[int, ...] = (), answer: str = "answer", size: int = 40) -> PastTurn:
    return PastTurn(
        position=position,
        question=f"question {position}",
        answer=answer,
        language="en",
        grounded=bool(sources),
        sources=tuple(NumberedSource(n, f"title {n}", f"source {n} " + "word " * size) for n in sources),
    )


def prompt(past: list[PastTurn], now: PastTurn, *, context: int = 4096, sources_from: int = 0):
    return build(
        opening=(Message("system", "system"),),
        past=past,
        now=now,
        sources_from=sources_from,
        context_tokens=context,
        answer_tokens=400,
    )


def test_the_next_prompt_begins_with_the_whole_last_one() -> None:
    first = turn(0, sources=(1, 2))
    second = turn(1, sources=(3,))
    before = prompt([], first).messages
    after = prompt([first], second).messages
    assert after[: len(before)] == before
    assert after[len(before)] == Message("assistant", "answer")


def test_each_source_is_sent_once() -> None:
    past = [turn(0, sources=(1, 2)), turn(1)]
    text = "\n".join(message.content for message in prompt(past, turn(2, sources=(3,))).messages)
    assert [text.count(f"[{n}] source {n} ") for n in (1, 2, 3)] == [1, 1, 1]


def test_a_full_context_drops_old_sources_down_to_half_and_keeps_all_questions() -> None:
    past = [turn(i, sources=(2 * i, 2 * i + 1), size=120) for i in range(12)]
    now = turn(12, sources=(99,))
    cut = prompt(past, now, context=2400)
    assert cut.cut
    assert cut.tokens <= (2400 - 400) // 2 + 200
    text = "\n".join(message.content for message in cut.messages)
    assert "[99] source 99" in text
    assert all(f"question {i}" in text for i in range(12))
    assert "[0] source 0" not in text


def test_after_a_cut_the_next_turn_keeps_the_same_prefix() -> None:
    past = [turn(i, sources=(2 * i, 2 * i + 1), size=120) for i in range(12)]
    now = turn(12, sources=(99,))
    first = prompt(past, now, context=2400)
    second = prompt([*past, now], turn(13), context=2400, sources_from=first.sources_from)
    assert not second.cut
    assert second.messages[: len(first.messages)] == first.messages


def test_a_conversation_that_is_too_long_even_without_sources_loses_its_oldest_turns() -> None:
    past = [turn(i, answer="long answer " * 60) for i in range(12)]
    cut = prompt(past, turn(12), context=1600)
    assert cut.tokens <= 1200
    assert cut.messages[0].role == "system"
    assert "question 12" in cut.messages[-1].content
    assert "question 0" not in "\n".join(message.content for message in cut.messages)


def test_every_mode_has_its_prompt_in_every_language() -> None:
    texts = {system_text(mode, language) for mode in ("personal", "university") for language in LANGUAGES}
    assert len(texts) == 8
    assert all("[1]" in text for text in texts)


def test_a_question_without_sources_tells_the_model_so() -> None:
    for language in LANGUAGES:
        text = user_text(question="?", language=language, grounded=False, sources=())
        assert label(language, "no_sources") in text


def test_the_excerpt_keeps_the_sentences_of_the_question_in_their_order() -> None:
    text = (
        "The GROW model has four steps. Goals come first. Reality is looked at next. "
        "Rest matters for recovery at work. Options are collected. The way forward is a promise."
    )
    cut = excerpt(text, question="What does the model say about recovery and rest?", tokens=30)
    assert "Rest matters for recovery at work." in cut
    assert cut.index("The GROW model") < cut.index("Rest matters")
    assert "…" in cut
    assert excerpt(text, question="goals", tokens=500) == text


def test_the_numbers_of_a_list_stay_with_their_lines() -> None:
    text = "Do it like this:\n\n1. Name the feeling. It helps.\n2. Make the first step small.\n10. Rest."
    assert sentences(text) == [
        "Do it like this:",
        "1. Name the feeling.",
        "It helps.",
        "2. Make the first step small.",
        "10. Rest.",
    ]


def test_the_example_turn_teaches_the_form_in_every_language_and_may_not_be_cited() -> None:
    for language in LANGUAGES:
        system, asked, answered = opening("personal", language)
        assert [message.role for message in (system, asked, answered)] == ["system", "user", "assistant"]
        assert "[98]" in asked.content
        assert "[98]" in answered.content
        assert label(language, "answer_in") in asked.content


def test_the_language_is_said_last_and_sources_only_where_there_are_some() -> None:
    for language in LANGUAGES:
        some = user_text(question="?", language=language, grounded=True, sources=[NumberedSource(1, "", "Text.")])
        assert some.endswith("\n" + label(language, "answer_in"))
        for grounded in (True, False):
            none = user_text(question="?", language=language, grounded=grounded, sources=())
            assert none.endswith("\n" + label(language, "in_language"))
            assert label(language, "answer_in") not in none


def test_a_coach_with_its_own_prompt_gets_nothing_else() -> None:
    assert opening("personal", "sv", "You are Kim.") == (Message("system", "You are Kim."),)
