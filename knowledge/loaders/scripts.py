"""Whether bytes, read in an encoding that nobody declared, make natural text of its script.

Western text must never pass: its accented letters stand alone between ASCII ones, these scripts stand in runs.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable

_HANGUL = re.compile("[가-힣]")
# Two syllables side by side: accented Latin letters read as cp949 rarely give that, Korean nearly always does.
_HANGUL_RUN = re.compile("[가-힣]{2,}")
_KANA = re.compile("[ぁ-んァ-ヶー]")
_HIRAGANA = re.compile("[ぁ-ん]")
_HALF_KANA = re.compile("[｡-ﾟ]")
_HAN = re.compile("[一-鿿]")
_CYRILLIC = re.compile("[А-яЁё]")
_CYRILLIC_RUN = re.compile("(?<![A-Za-zÀ-ɏ])[А-яЁё]{3,}(?![A-Za-zÀ-ɏ])")
_PLAIN = re.compile(r"[ -~\t\n\r]")
_LEAST = 8  # fewer letters than this prove nothing
_SAMPLE = 20_000
# The rows of the characters in daily use, by the first byte.
_DAILY = {"gb18030": ("gb2312", 0xB0, 0xD7), "big5": ("big5", 0xA4, 0xC6)}


def legacy(data: bytes) -> str:
    """The text when it is plainly Korean, Japanese, Chinese or Russian in an encoding of its own; else ''."""
    for name, natural in _CHECKS:
        try:
            text = data.decode(name)
        except UnicodeError:
            continue
        if natural(text[:_SAMPLE]):
            return text
    return ""


def wide(data: bytes) -> str:
    """The text when it is UTF-32 or UTF-16 without a mark; else ''. Only for bytes with zeros among them."""
    best, most = "", 0.0
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(name)().decode(data)
        except UnicodeError:
            continue
        sample = text[:_SAMPLE]
        plain = len(_PLAIN.findall(sample)) / max(1, len(sample))
        if "\x00" not in text and plain > most and (plain > 0.5 or _one_script(sample)):
            best, most = text, plain
        if best and name == "utf-32-be":
            break
    return best


def _one_script(text: str) -> bool:
    """Most letters beyond ASCII are of one script; bytes that are no text give a mixture."""
    scripts: dict[str, int] = {}
    for character in text:
        if not character.isascii() and character.isalpha():
            script = unicodedata.name(character, "none").partition(" ")[0]
            script = "CJK" if script in ("HIRAGANA", "KATAKANA") else script
            scripts[script] = scripts.get(script, 0) + 1
    return bool(scripts) and max(scripts.values()) > 0.8 * sum(scripts.values())


def is_korean(text: str) -> bool:
    """Most of what is not ASCII must be syllables, and most of them must stand in runs.

    Chinese text read as Korean is syllables and Chinese characters, about two to one.
    """
    foreign = sum(not character.isascii() for character in text)
    syllables = len(_HANGUL.findall(text))
    in_runs = sum(map(len, _HANGUL_RUN.findall(text)))
    mixed = len(_HAN.findall(text)) > 0.3 * syllables
    return syllables > 0.5 * foreign and in_runs > 0.6 * syllables and not mixed


def _is_japanese(text: str) -> bool:
    letters = sum(not character.isascii() and character.isalpha() for character in text)
    kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
    return (
        letters >= _LEAST
        and kana > 0.2 * letters
        and kana + han > 0.9 * letters
        and len(_HIRAGANA.findall(text)) > 0
        and len(_HALF_KANA.findall(text)) < 0.05 * letters
    )


def _is_chinese(name: str) -> Callable[[str], bool]:
    codec, first, last = _DAILY[name]

    def natural(text: str) -> bool:
        letters = sum(not character.isascii() and character.isalpha() for character in text)
        han = _HAN.findall(text)
        if len(han) < _LEAST or len(han) < 0.7 * letters:
            return False
        daily = [character.encode(codec, "ignore")[:1] for character in han]
        return sum(first <= byte[0] <= last for byte in daily if byte) > 0.9 * len(han)

    return natural


def _is_russian(text: str) -> bool:
    letters = _CYRILLIC.findall(text)
    in_runs = sum(map(len, _CYRILLIC_RUN.findall(text)))
    lower = sum(letter.islower() for letter in letters)
    return len(letters) >= _LEAST and in_runs > 0.7 * len(letters) and lower > 0.6 * len(letters)


_CHECKS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("cp949", is_korean),
    ("johab", is_korean),
    ("euc_jp", _is_japanese),
    ("cp932", _is_japanese),
    ("gb18030", _is_chinese("gb18030")),
    ("big5", _is_chinese("big5")),
    ("cp1251", _is_russian),
    ("koi8_r", _is_russian),
)
