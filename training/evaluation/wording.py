"""What an answer says: that the sources do not answer the question, and which numbers it cites."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from coach import prompting

_FILE = Path(__file__).parent / "abstention.txt"


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Said by the model itself: "Källorna säger inget om …", "Det framgår inte av …", "자료에는 … 없습니다"."""
    lines = [line for line in _FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    subjects = lines[0].removeprefix("subjects = ")
    return tuple(re.compile(line.replace("{subjects}", subjects), re.I) for line in lines[1:])


# Later on it is a remark beside an answer ("the sources do not say when").
_BEGINNING = 2
_SENTENCE = re.compile(r"[^.!?。\n]+[.!?。]*")


def abstains(answer: str, language: str) -> bool:
    """True for our own sentence that nothing was found, and when the answer begins by saying so itself."""
    if answer.startswith(prompting.label(language, "not_covered")):
        return True
    beginning = " ".join(_SENTENCE.findall(answer.strip())[:_BEGINNING])
    return any(pattern.search(beginning) for pattern in _patterns())


_NUMBERS = re.compile(r"[\[【](\d[\d\s,;]*)[\]】]")


def citation_numbers(answer: str) -> list[int]:
    """Every number in square brackets, in order."""
    return [int(number) for found in _NUMBERS.findall(answer) for number in re.findall(r"\d+", found)]


def without_numbers(answer: str) -> str:
    return _NUMBERS.sub(" ", answer)
