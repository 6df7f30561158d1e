"""Environment variables are read strictly: a word that nobody understands stops the start."""

from __future__ import annotations

import pytest

from config.env import ConfigurationError, Env

LANGUAGES = ("swe", "eng")
PATTERN = r"[a-z]{3}(_[a-z]+)*"


@pytest.mark.parametrize(
    ("value", "words"),
    [("", ["swe", "eng"]), ("kor", ["kor"]), (" nor , chi_sim ", ["nor", "chi_sim"]), ("off", []), ("OFF", [])],
)
def test_lists_of_codes(value: str, words: list[str]) -> None:
    assert Env({"COACH_OCR_LANGUAGES": value}).codes("COACH_OCR_LANGUAGES", PATTERN, LANGUAGES) == words


@pytest.mark.parametrize("value", ["sv", "swe+eng", "../eng", "swe,off", "swe eng"])
def test_a_wrong_code_stops_the_start(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^COACH_OCR_LANGUAGES must be a list such as swe,eng, or off"):
        Env({"COACH_OCR_LANGUAGES": value}).codes("COACH_OCR_LANGUAGES", PATTERN, LANGUAGES)
