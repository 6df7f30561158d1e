"""What kind of text a coachee wrote, in four languages."""

from __future__ import annotations

import pytest

from coach.prompting import PastTurn
from coach.questions import about_conversation, standalone

ABOUT_CONVERSATION = {
    "en": (
        "Can you say that more shortly?",
        "Could you explain that again?",
        "What do you mean?",
        "Give me an example, please",
        "Can you give me some more examples?",
        "Tell me more",
        "Please summarise it in one sentence",
        "How are you?",
        "Who are you?",
        "What can you help me with?",
        "Thanks a lot!",
        "Are you a robot?",
    ),
    "sv": (
        "Kan du ge ett exempel?",
        "Kan du säga det kortare?",
        "Vad menar du?",
        "Kan du förklara det enklare?",
        "Kan du sammanfatta det?",
        "Berätta mer",
        "Hur mår du?",
        "Hur går det?",
        "Vem är du?",
        "Är du en robot?",
    ),
    "nb": (
        "Kan du gi et eksempel?",
        "Kan du si det kortere?",
        "Hva mener du?",
        "Kan du forklare det enklere?",
        "Fortell mer",
        "Hvordan går det?",
        "Hvordan har du det?",
        "Hvem er du?",
        "Tusen takk!",
    ),
    "ko": (
        "좀 더 짧게 말해 줄래?",
        "다시 설명해 주세요",
        "예를 들어 줄 수 있나요?",
        "무슨 뜻이에요?",
        "더 쉽게 설명해 주세요",
        "요약해 주세요",
        "안녕하세요",
        "잘 지내셨어요?",
        "누구세요?",
        "정말 감사합니다",
    ),
}
ABOUT_SOMETHING = {
    "en": (
        "Can you give an example of a SMART goal?",
        "What does Lally say about it?",
        "How do I say no to my boss?",
        "What is the GROW model?",
        "How can I explain my decision to the team?",
        "What should I do?",
        "Why?",
        "Tell me more about habits",
        "How are habits formed?",
        "?",
    ),
    "sv": (
        "Kan du ge ett exempel på ett SMART-mål?",
        "Hur säger jag nej till min chef?",
        "Vad är GROW-modellen?",
        "Hur går det till när en vana bildas?",
        "Berätta mer om sömn",
        "Hur mår man av stress?",
    ),
    "nb": (
        "Kan du gi et eksempel på et SMART-mål?",
        "Hvordan sier jeg nei til sjefen min?",
        "Hva er GROW-modellen?",
        "Fortell mer om søvn",
        "Hvordan går det med studenter som bruker KI?",
    ),
    "ko": (
        "SMART 목표의 예를 들어 주세요",
        "상사에게 거절은 어떻게 말해요?",
        "GROW 모델을 설명해 주세요",
        "습관은 어떻게 생기나요?",
    ),
}


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, some in ABOUT_CONVERSATION.items() for text in some]
)
def test_what_is_about_the_conversation(language: str, text: str) -> None:
    assert about_conversation(text, language)
    assert about_conversation(text, "en"), "also in a conversation in another language"


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, some in ABOUT_SOMETHING.items() for text in some]
)
def test_what_names_a_subject_is_not(language: str, text: str) -> None:
    assert not about_conversation(text, language)


def past(*questions: str, language: str = "en") -> list[PastTurn]:
    return [PastTurn(at, question, "…", language, True) for at, question in enumerate(questions)]


FOLLOW_UPS = [
    ("en", "How do habits form?", "Why?"),
    ("en", "How do habits form?", "What does Lally say about it?"),
    ("en", "How do habits form?", "And how long does it take for children?"),
    ("en", "How do I give feedback?", "What about people who get angry?"),
    ("sv", "Hur bildas vanor?", "Varför då?"),
    ("sv", "Hur bildas vanor?", "Vad säger Lally om det?"),
    ("sv", "Hur bildas vanor?", "Och hur gör jag på jobbet?"),
    ("nb", "Hvordan dannes vaner?", "Hva sier Lally om det?"),
    ("nb", "Hvordan dannes vaner?", "Og hvordan gjør jeg det på jobben?"),
    ("ko", "습관은 어떻게 생기나요?", "왜요?"),
    ("ko", "습관은 어떻게 생기나요?", "랠리는 그것에 대해 뭐라고 말하나요?"),
    ("ko", "습관은 어떻게 생기나요?", "그럼 직장에서는 어떻게 하면 될까요?"),
]


@pytest.mark.parametrize(("language", "before", "question"), FOLLOW_UPS)
def test_a_follow_up_is_searched_with_the_question_before_it(language: str, before: str, question: str) -> None:
    assert standalone(question, past(before, language=language)) == f"{before} {question}"
    assert standalone(question, []) == question


ALONE = [
    "What is the difference between coaching and therapy?",
    "Is it possible to change a habit in a week?",
    "Hur kan det komma sig att jag skjuter upp saker?",
    "Vad är det bästa sättet att sätta mål?",
    "Hvordan kan det ha seg at jeg utsetter ting?",
    "동료에게 어려운 피드백은 어떻게 하나요?",
    "스트레스에서 회복하려면 무엇을 해야 하나요?",
    "What does Lally say about the number of days?",
]


@pytest.mark.parametrize("question", ALONE)
def test_a_whole_question_is_searched_alone(question: str) -> None:
    assert standalone(question, past("How do habits form?")) == question


def test_what_is_about_the_conversation_is_searched_as_the_question_before() -> None:
    for text in ("Can you say that more shortly?", "Kan du ge ett exempel?", "좀 더 짧게 말해 줄래?"):
        assert standalone(text, past("How do habits form?")) == "How do habits form?"
        assert standalone(text, []) == text


def test_a_chain_of_follow_ups_is_traced_back() -> None:
    before = past("How do habits form?", "Why?")
    assert standalone("And then?", before) == "How do habits form? Why? And then?"
    assert standalone("Give me an example", before) == "How do habits form? Why?"
    assert standalone("Why?", past("An old question?", "How do habits form?")) == "How do habits form? Why?"
