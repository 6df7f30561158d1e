"""Who goes first when many answers are written at once."""

from __future__ import annotations

import asyncio

from llm import first_words


async def test_nobody_waits_when_no_first_word_is_awaited() -> None:
    await asyncio.wait_for(first_words.others_first(60), 5)


async def test_waits_until_the_last_of_the_others_has_its_first_word() -> None:
    first, second = first_words.awaited(), first_words.awaited()
    first.__enter__()
    second.__enter__()
    waiting = [asyncio.create_task(first_words.others_first(60)) for _ in range(2)]
    await asyncio.sleep(0)
    first.__exit__(None, None, None)
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    second.__exit__(None, None, None)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_waits_no_longer_than_it_was_told() -> None:
    with first_words.awaited():
        await asyncio.wait_for(first_words.others_first(0.01), 5)
        await asyncio.wait_for(first_words.others_first(0), 5)
    assert first_words.count() == 0


async def test_one_that_gave_up_is_forgotten() -> None:
    with first_words.awaited():
        waiting = asyncio.create_task(first_words.others_first(60))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled()
