"""The stream log against a real Valkey: order, fences, silence, and what a lost server looks like."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

import pytest
from django.test import override_settings

from coach import events
from coach.events import Event, Fenced, LogUnavailable, LogWriter, read_log
from llm.loops import close_clients

pytestmark = pytest.mark.usefixtures("broker")


async def collect(turn: uuid.UUID) -> list[Event]:
    found: list[Event] = []
    async with aclosing(read_log(turn, block=0.05)) as batches:
        async for batch in batches:
            if not batch:
                break
            found += batch
    return found


async def test_events_come_in_order_and_numbered() -> None:
    turn = uuid.uuid4()
    writer = LogWriter(turn, 1)
    assert await writer.open() is False
    for text in ("Begin", " with", " 한 걸음 🙂"):
        await writer.write("token", {"text": text})
    await writer.write("done", {"answer": "x"})
    found = await collect(turn)
    assert [(event.type, event.seq) for event in found] == [("token", 1), ("token", 2), ("token", 3), ("done", 4)]
    assert found[2].data == {"text": " 한 걸음 🙂"}


async def test_events_written_at_the_same_moment_keep_the_order_of_their_numbers() -> None:
    turn = uuid.uuid4()
    writer = LogWriter(turn, 1)
    await writer.open()
    await asyncio.gather(*(writer.write("token", {"text": str(number)}) for number in range(50)))
    found = await collect(turn)
    assert [event.seq for event in found] == list(range(1, 51))
    assert [event.data["text"] for event in found] == [str(number) for number in range(50)]


async def test_a_new_attempt_counts_on_and_shuts_the_old_one_out() -> None:
    turn = uuid.uuid4()
    old, new = LogWriter(turn, 1), LogWriter(turn, 2)
    await old.open()
    await old.write("token", {"text": "a"})
    await old.write("token", {"text": "b"})
    assert await new.open() is True
    with pytest.raises(Fenced):
        await old.write("token", {"text": "late"})
    await new.write("reset", {})
    await new.write("done", {"answer": "c"})
    found = await collect(turn)
    assert [(event.type, event.seq) for event in found] == [("token", 1), ("token", 2), ("reset", 3), ("done", 4)]


async def test_the_same_attempt_cannot_open_twice() -> None:
    turn = uuid.uuid4()
    await LogWriter(turn, 1).open()
    with pytest.raises(Fenced):
        await LogWriter(turn, 1).open()


async def test_silence_is_an_empty_batch_and_the_end_ends() -> None:
    turn = uuid.uuid4()
    async with aclosing(read_log(turn, block=0.01)) as batches:
        assert await anext(batches) == []
        writer = LogWriter(turn, 1)
        await writer.open()
        await writer.write("token", {"text": "a"})
        await writer.write("done", {"answer": "a"})
        seen: list[Event] = []
        async for batch in batches:
            seen += batch
    assert [event.type for event in seen] == ["token", "done"]


async def test_the_log_does_not_live_for_ever() -> None:
    turn = uuid.uuid4()
    await LogWriter(turn, 1).open()
    left = await events.redis_client().ttl(events.log_key(turn))
    assert events.LOG_SECONDS_AFTER_END < left <= events.LOG_SECONDS


async def test_after_its_end_the_log_makes_room_soon() -> None:
    turn = uuid.uuid4()
    writer = LogWriter(turn, 1)
    await writer.open()
    await writer.write("done", {"answer": "x"})
    await writer.aclose()
    assert 0 < await events.redis_client().ttl(events.log_key(turn)) <= events.LOG_SECONDS_AFTER_END


async def test_a_full_server_is_no_fence() -> None:
    """Fenced would mean that another runner answers; a full broker only means that the answer is read from SQL."""
    turn = uuid.uuid4()
    client = events.redis_client()
    writer = LogWriter(turn, 1)
    await writer.open()
    before = (await client.config_get("maxmemory"))["maxmemory"]
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(LogUnavailable):
            await writer.write("token", {"text": "a"})
    finally:
        await client.config_set("maxmemory", before)
    await writer.aclose()


async def test_a_writer_that_was_cancelled_in_mid_write_can_still_write_the_end() -> None:
    """Stop cancels the task that writes tokens; the entry may be there or not, `stopped` must follow it."""
    turn = uuid.uuid4()
    writer = LogWriter(turn, 1)
    await writer.open()
    for step in range(1, 4):
        writing = asyncio.create_task(writer.write("token", {"text": "x"}))
        for _turn_of_the_loop in range(step):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await writer.write("stopped", {"answer": "x"})
    await writer.aclose()
    found = await collect(turn)
    assert found[-1].type == "stopped"
    assert [event.seq for event in found] == sorted({event.seq for event in found})


async def test_a_server_that_is_gone_is_one_kind_of_error(tmp_path) -> None:
    await close_clients()
    with override_settings(REDIS_URL=f"unix://{tmp_path}/nobody.sock?db=0"):
        writer = LogWriter(uuid.uuid4(), 1)
        with pytest.raises(LogUnavailable):
            await writer.open()
        with pytest.raises(LogUnavailable):
            await writer.write("token", {"text": "a"})
        with pytest.raises(LogUnavailable):
            await anext(read_log(uuid.uuid4(), block=0.01))
        await close_clients()


def test_a_frame_is_json_with_its_turn_and_number() -> None:
    turn = uuid.uuid4()
    assert (
        Event("token", {"text": "å"}, 3).frame(turn) == f'{{"type": "token", "turn": "{turn}", "seq": 3, "text": "å"}}'
    )
