"""What kind of text a coachee wrote."""

from __future__ import annotations

from collections.abc import Sequence

from .prompting import PastTurn


def standalone(question: str, past: Sequence[PastTurn]) -> str:
    """A follow-up of a few words ('Why?') means nothing alone: the question before it is put in front."""
    short = len(question) < 25 if len(question.split()) < 5 else False
    return f"{past[-1].question} {question}" if past and short else question


def is_question(text: str) -> bool:
    """Only a question gets the sentence 'my knowledge base has nothing about this'; a greeting does not."""
    return text.rstrip().endswith(("?", "？", "까", "나요", "가요")) and len(text.split()) >= 2
