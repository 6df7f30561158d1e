"""The crisis layer: what must trigger does, everyday idioms do not, and the card is complete."""

import pytest

from coach.safety.screening import level_of, screen

ACUTE = [
    ("en", "I just want to die"),
    ("en", "Some nights I think about killing myself"),
    ("en", "I don’t want to live anymore"),
    ("sv", "Jag orkar inte leva längre"),
    ("sv", "Jag har tänkt på   SJÄLVMORD"),
    ("nb", "Jeg vil ta livet mitt"),
    ("nb", "jeg skader meg selv"),
    ("ko", "요즘 죽고 싶다는 생각을 해요"),
    ("ko", "자해하고 싶어요"),
]
EVERYDAY = [
    ("en", "This deadline is killing me, how do I plan my week?"),
    ("en", "I am dying of boredom at work"),
    ("en", "What is suicide prevention training for staff?"),
    ("sv", "Jag dör av skratt åt mötet"),
    ("sv", "Hur slutar jag skjuta upp saker?"),
    ("nb", "Denne oppgaven tar livet av meg"),
    ("nb", "Hvordan setter jeg grenser på jobb?"),
    ("ko", "배고파 죽겠다, 회의가 너무 길어요"),
    ("ko", "시간 관리를 어떻게 하면 좋을까요?"),
]


@pytest.mark.parametrize(("language", "text"), ACUTE)
def test_acute_signs_are_found_in_every_language(language: str, text: str) -> None:
    assert level_of(text) == "acute"


@pytest.mark.parametrize(("language", "text"), EVERYDAY)
def test_everyday_language_stays_free(language: str, text: str) -> None:
    assert level_of(text) == "none"


@pytest.mark.parametrize(
    ("language", "country", "number"),
    [
        ("en", "United Kingdom", "116 123"),
        ("sv", "Sverige", "90101"),
        ("nb", "Norge", "116 123"),
        ("ko", "대한민국", "109"),
    ],
)
def test_the_card_puts_the_own_country_first_with_two_lines(language: str, country: str, number: str) -> None:
    found = screen(dict(ACUTE_BY_LANGUAGE)[language], language)
    assert found.card is not None
    first = [line for line in found.card["helplines"] if line["country"] == country]
    assert found.card["helplines"][0]["country"] == country
    assert len(first) >= 2
    assert number in {line["phone"] for line in first}
    assert found.reply


ACUTE_BY_LANGUAGE = {language: text for language, text in reversed(ACUTE)}
