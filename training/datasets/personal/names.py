"""Names of people, by rules: introductions, relations and titles (names.toml), and common first names
(first_names.txt).

What rules cannot do: a rare name that nobody introduces, a nickname, a name in small letters, a name that is a word
as well. That is why a person looks at each example.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_CAP = (
    r"[A-ZÅÄÖÆØÉÜÁÍ][a-zåäöæøéüáíñçß'’]{1,30}"
    r"(?:-[A-ZÅÄÖÆØ][a-zåäöæøéü]{1,30})?"
)
_NAME = rf"({_CAP}(?:(?: (?:von|van|de|af|al|bin|el|[A-Z]\.))? {_CAP}){{0,3}})"
_FIRST_AND_FAMILY = re.compile(rf"(?<![\w-])({_CAP})(?: ({_CAP}))?")
_HANGUL = re.compile(r"[가-힣]")


@dataclass(frozen=True, slots=True)
class _Rules:
    patterns: tuple[re.Pattern[str], ...]
    surnames: str
    no_names: frozenset[str]
    no_korean: frozenset[str]
    first_names: frozenset[str]


@cache
def _rules() -> _Rules:
    found = tomllib.loads((_FOLDER / "names.toml").read_text(encoding="utf-8"))
    words = {
        "NAME": _NAME,
        "KOREAN": f"[{found['surnames_ko']}][가-힣]{{1,2}}",
        "SURNAMES": found["surnames_ko"],
        "TITLES": found["titles_ko"],
        "OFFICES": found["offices_ko"],
        **{f"KIN_{code}": found[f"kin_{code.lower()}"] for code in ("EN", "SV", "NB", "KO")},
    }
    patterns = []
    for pattern in (*found["latin"], *found["korean"]):
        for name, text in words.items():
            pattern = pattern.replace(f"{{{name}}}", text)
        patterns.append(re.compile(pattern))
    listed = (_FOLDER / "first_names.txt").read_text(encoding="utf-8").splitlines()
    return _Rules(
        tuple(patterns),
        found["surnames_ko"],
        frozenset(found["no_names"].split()),
        frozenset(found["no_korean"].split()),
        frozenset(name for line in listed if not line.startswith("#") for name in line.split()),
    )


def found_in(text: str) -> list[str]:
    """Full names in the text, as they are written there, without doubles."""
    found = [match[1] for pattern in _rules().patterns for match in pattern.finditer(text)]
    kept = [cleaned for name in found if (cleaned := _cleaned(name))]
    return list(dict.fromkeys([*kept, *_by_list(text)]))


def parts(name: str) -> list[str]:
    """What somebody may be called later on: Karin Svensson, Karin, Svensson; 김민수, 민수."""
    if _HANGUL.match(name):
        return [name, name[1:]] if len(name) == 3 and name[0] in _rules().surnames else [name]
    words = [word for word in name.split() if len(word) > 2 and word[0].isupper()]
    return list(dict.fromkeys([name, *words]))


def _cleaned(name: str) -> str:
    rules = _rules()
    if _HANGUL.match(name):
        return "" if name in rules.no_korean else name
    words = name.split()
    while words and words[-1] in rules.no_names:
        words.pop()
    if not words or words[0] in rules.no_names:
        return ""
    return " ".join(words)


def _by_list(text: str) -> list[str]:
    """A first name of the list, in the genitive too, with the family name that may follow."""
    rules, found = _rules(), []
    for match in _FIRST_AND_FAMILY.finditer(text):
        first, second = match[1], match[2]
        forms = (first, first.removesuffix("'s").removesuffix("’s"), first.removesuffix("s"))
        bare = next((form for form in forms if form in rules.first_names), "")
        if bare:
            family = second if second and bare == first and second not in rules.no_names else ""
            found.append(f"{bare} {family}".strip())
        elif second and second in rules.first_names:
            found.append(second)
    return found
