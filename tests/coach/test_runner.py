"""What the runner does after a turn."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from uuid import UUID

import pytest

from coach.models import Turn
from coach.runner import TurnRunner
from coach.services import Outcome
from tests.coach.test_turn import context


class Runner(TurnRunner):
    """Claims any turn, answers it with `outcome`, and notes which conversations it would warm."""

    def __init__(self, outcome: Outcome | Exception) -> None:
        super().__init__()
        self.conversation, self.outcome, self.warmed = uuid.uuid4(), outcome, list[UUID]()

    def _claim(self, turn: UUID) -> Any:
        return context(turn=turn, conversation=self.conversation), 1

    async def _answer(self, _context: Any, _attempt: int) -> Outcome:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def _warm(self, conversation: UUID) -> None:
        self.warmed.append(conversation)

    async def answered(self) -> list[UUID]:
        """Run one turn and what follows it."""
        turn = uuid.uuid4()
        self._start(turn)
        task = self.tasks[turn]
        await asyncio.wait([task])
        if self.warming is not None:
            await self.warming
        return self.warmed


async def test_a_local_model_reads_the_stored_answer_while_the_coachee_does() -> None:
    runner = Runner(Outcome(state=Turn.State.DONE, answer="A cue starts it [1].", place="local"))
    assert await runner.answered() == [runner.conversation]


async def test_a_cloud_reads_nothing_before_it_is_asked() -> None:
    assert await Runner(Outcome(state=Turn.State.DONE, answer="A cue starts it [1].", place="cloud")).answered() == []


async def test_without_an_answer_there_is_nothing_to_read() -> None:
    assert await Runner(Outcome(state=Turn.State.FAILED, failure_code="internal", place="local")).answered() == []


async def test_an_error_in_a_turn_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert await Runner(ValueError("a defect")).answered() == []
    assert "a defect" in caplog.text
