"""What two texts share by their words, in four languages."""

from __future__ import annotations

import pytest

from knowledge.pair_notes import difference, judged, note_text, rule_note
from knowledge.passage_words import negated, numbers, supported


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about 1,000 people", {"1000"}),
        ("om 1 000 personer", {"1000"}),
        ("1.000 personer", {"1000"}),
        ("2,5 timmar", {"2.5"}),
        ("on 3 May 2026", {"3", "month 5", "2026"}),
        ("den 3. juni", {"3", "month 6"}),
        ("it may help on 3 days", {"3"}),
        ("하루 30분", {"30"}),
    ],
)
def test_numbers_are_read_as_each_language_writes_them(text: str, expected: set[str]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Do not wake up early.", True),
        ("Vakna inte tidigt.", True),
        ("Ikke stå opp tidlig.", True),
        ("일찍 일어나지 마세요.", True),
        ("일찍 일어나세요.", False),
        ("Wake up early.", False),
        ("Nothing is noted.", False),
    ],
)
def test_a_not_is_seen_in_each_language(text: str, expected: bool) -> None:
    assert negated(text) is expected


SWEDISH = "En vana byggs i tre steg: en signal, en rutin och en belöning. Upprepa rutinen varje dag i 66 dagar."
KOREAN = "습관은 신호, 행동, 보상의 세 단계로 만들어집니다. 행동을 66일 동안 매일 반복하세요."


@pytest.mark.parametrize(
    ("answer", "passage"),
    [
        ("Vanan byggs i tre steg: signal, rutin och belöning.", SWEDISH),
        ("습관은 신호와 행동과 보상으로 만들어집니다.", KOREAN),
    ],
)
def test_the_words_of_an_answer_stand_in_its_passage(answer: str, passage: str) -> None:
    assert supported(answer, passage) >= 0.8


@pytest.mark.parametrize(
    ("answer", "passage"),
    [
        ("Forskare vid Stanford visade att hjärnan frigör dopamin.", SWEDISH),
        ("뇌에서 도파민이 분비되기 때문입니다.", KOREAN),
        ("", SWEDISH),
    ],
)
def test_what_a_model_adds_does_not(answer: str, passage: str) -> None:
    assert supported(answer, passage) < 0.5


def test_two_sentences_about_the_same_with_other_numbers_differ() -> None:
    one = "Crisis lines are open. You can call the help line on 90101 at any hour of the day."
    other = "You can call the help line on 90909 at any hour of the day. It costs nothing."
    found = difference(one, other)
    assert found is not None
    assert (found.kind, found.said) == ("numbers", ("90101", "90909"))
    assert note_text(rule_note(found)) == "Different numbers in nearly the same sentence: 90101 / 90909"
    assert not judged(rule_note(found))


def test_a_not_makes_two_sentences_differ() -> None:
    found = difference(
        "Man bör träna strax före sömnen på kvällen.", "Man bör inte träna strax före sömnen på kvällen."
    )
    assert found is not None
    assert found.kind == "not"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sleep for 8 hours each night in a dark room.", "Sleep for 8 hours each night in a dark and cool room."),
        ("Sleep for 8 hours each night in a dark room.", "A coach listens 70 percent of the time in each talk."),
        ("Sleep for 8 hours each night in a dark room.", "Sleep each night in a dark room."),
        ("", "8"),
    ],
)
def test_more_detail_or_another_subject_is_no_difference(one: str, other: str) -> None:
    assert difference(one, other) is None
