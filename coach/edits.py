"""Answers as their coachees would have had them: written beside the answer, never in its place."""

from __future__ import annotations

from uuid import UUID

from .errors import Empty, NoAnswer, NotFinished, NotFound, TooLong, Unchanged
from .models import AnswerEdit, Turn
from .prompting import not_covered, written
from .services import UNFINISHED

LONGEST = 8000  # characters; as of an ideal answer


def improve(*, user_id: int, turn_id: UUID, text: str) -> AnswerEdit:
    """Set or change it. Raises NotFound, NotFinished, NoAnswer, Empty, TooLong, Unchanged."""
    turn = _of(user_id, turn_id)
    if turn.state in UNFINISHED:
        raise NotFinished
    if turn.state != Turn.State.DONE or not turn.answer.strip():
        raise NoAnswer
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise Empty
    if len(text) > LONGEST:
        raise TooLong(LONGEST)
    # The words before an answer are ours: with or without them it is the same one, and alone they are none.
    same = written(turn.answer, turn.language).strip()
    if written(text, turn.language).strip() == same or text == not_covered(turn.language).strip():
        raise Unchanged
    edit, _created = AnswerEdit.objects.update_or_create(turn=turn, defaults={"text": text})
    return edit


def take_back(*, user_id: int, turn_id: UUID) -> None:
    """Raises NotFound, also when there is none."""
    deleted, _rows = AnswerEdit.objects.filter(turn=_of(user_id, turn_id)).delete()
    if not deleted:
        raise NotFound


def _of(user_id: int, turn_id: UUID) -> Turn:
    turn = Turn.objects.filter(pk=turn_id, conversation__owner_id=user_id).first()
    if turn is None:
        raise NotFound
    return turn
