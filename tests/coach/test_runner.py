"""What the runner does after a turn."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from uuid import UUID

import pytest

from coach import runner as runner_module
from coach.models import Turn
from coach.runner import TurnRunner
from coach.services import Outcome
from llm import first_words
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


# --- storing the answer ---------------------------------------------------------------------------


class Storing(TurnRunner):
    """Claims any turn; its answers are whole at once. `stored` are turns in the order of their storing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.stored: list[UUID] = []
        self.outcomes: list[Turn.State] = []
        monkeypatch.setattr(runner_module, "run_turn", self._run_turn)
        monkeypatch.setattr(runner_module.services, "finish_turn", self._finish)

    def _claim(self, turn: UUID) -> Any:
        return context(turn=turn), 1

    async def _run_turn(self, *_args: Any) -> Outcome:
        return Outcome(state=Turn.State.DONE, answer="A cue starts it [1].")

    async def _answer(self, context: Any, _attempt: int) -> Outcome:
        return await self._write_answer(context, Emitted())

    def _finish(self, *, turn_id: UUID, outcome: Outcome, **_more: Any) -> bool:
        self.stored.append(turn_id)
        self.outcomes.append(Turn.State(outcome.state))
        return True


class Emitted(runner_module._Emitter):
    def __init__(self) -> None:
        self.types: list[str] = []

    async def open(self) -> bool:
        return False

    async def __call__(self, type_: str, _data: dict[str, Any]) -> None:
        self.types.append(type_)


async def test_an_answer_is_stored_after_the_first_words_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LAST_SECONDS", 60)
    runner, turns = Storing(monkeypatch), [uuid.uuid4() for _ in range(3)]
    with first_words.awaited():
        for turn in turns:
            runner._start(turn)
        tasks = [runner.tasks[turn] for turn in turns]
        await asyncio.wait(tasks, timeout=0.2)
        assert runner.stored == []
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert sorted(runner.stored) == sorted(turns)


async def test_a_stop_after_the_last_word_comes_too_late_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LAST_SECONDS", 60)
    runner, turn = Storing(monkeypatch), uuid.uuid4()
    with first_words.awaited():
        runner._start(turn)
        task = runner.tasks[turn]
        await asyncio.wait([task], timeout=0.1)
        await runner.turn_stop({"turn": str(turn)})
    await asyncio.wait_for(task, 5)
    assert (runner.stored, runner.outcomes) == ([turn], [Turn.State.DONE])


async def test_a_stream_log_that_hangs_keeps_no_other_answer_from_being_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Emitted, "__call__", hang)
    runner, turns = Storing(monkeypatch), [uuid.uuid4() for _ in range(2)]
    for turn in turns:
        runner._start(turn)
    tasks = [runner.tasks[turn] for turn in turns]
    try:
        await asyncio.wait(tasks, timeout=1)
        assert sorted(runner.stored) == sorted(turns)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_an_answer_is_stored_even_when_a_first_word_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LAST_SECONDS", 0.05)
    runner, turn = Storing(monkeypatch), uuid.uuid4()
    with first_words.awaited():
        runner._start(turn)
        await asyncio.wait_for(runner.tasks[turn], 5)
    assert runner.stored == [turn]
