"""Transcripts (.srt, .vtt): what was said, under the time at which it was said, so that a listener finds it."""

from __future__ import annotations

import html
import re
from pathlib import Path

from .encoding import decode
from .types import LoadedDocument, TextBuilder

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
CUE = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}", re.M)
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|<\d[\d:.]*>|\{\\[^}\n]*\}")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^>\n]{1,80})>")
_NUMBER = re.compile(r"\d{1,7}")
# A heading, and so a place to jump to, about each minute; a pause of some seconds ends a paragraph.
SECONDS_A_PART = 60
PAUSE_SECONDS = 4


def load(path: Path) -> LoadedDocument:
    """Raises WrongType, NoText, TooLargeInside."""
    builder = TextBuilder()
    part_from, last_end, seen = -1, 0.0, ""
    said: list[str] = []
    for start, end, text in _cues(decode(path.read_bytes())):
        if part_from < 0 or start >= part_from + SECONDS_A_PART:
            builder.add(" ".join(said))
            said = []
            part_from = int(start)
            builder.heading(2, _clock(start))
        elif start - last_end > PAUSE_SECONDS:
            builder.add(" ".join(said))
            said = []
        if text != seen:  # rolling captions say each line twice
            said.append(text)
        last_end, seen = end, text
    builder.add(" ".join(said))
    return builder.finish()


def _cues(text: str) -> list[tuple[float, float, str]]:
    """(start, end, what is said), seconds, in the order of the file."""
    found: list[tuple[float, float, str]] = []
    matches = list(CUE.finditer(text))
    for at, match in enumerate(matches):
        stop = matches[at + 1].start() if at + 1 < len(matches) else len(text)
        lines = text[match.end() : stop].split("\n")[1:]
        words = _speech(lines)
        if words:
            numbers = [int(group or 0) for group in match.groups()]
            found.append((_seconds(numbers[:3]), _seconds(numbers[4:7]), words))
    return found


def _speech(lines: list[str]) -> str:
    """The lines of a cue up to the empty one that ends it; the number of the next cue may stand right below."""
    kept: list[str] = []
    for line in lines:
        line = line.strip()
        if not line:
            if kept:
                break
            continue
        kept.append(line)
    if len(kept) > 1 and _NUMBER.fullmatch(kept[-1]) and len(kept) == len([line for line in lines if line.strip()]):
        kept.pop()
    text = _VOICE.sub(r"\1: ", " ".join(kept))
    return " ".join(html.unescape(_TAG.sub("", text)).split())


def _seconds(parts: list[int]) -> float:
    hours, minutes, seconds = parts
    return hours * 3600.0 + minutes * 60 + seconds


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
