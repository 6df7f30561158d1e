"""The edge to Celery: what is sent to which queue, over a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from tests.training.finetune_rows import waiting_job
from tests.training.openai_server import Server, openai_server
from training import tasks_finetune
from training.finetune import jobs
from training.models import FineTune
from training.wake import follow_soon

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(valkey: str) -> Iterator[Redis]:
    with Redis.from_url(valkey) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def openai(settings: Any) -> Iterator[Server]:
    with openai_server() as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, server.key
        settings.COACH_OPENAI_TRAINING = True
        yield server


def sent(client: Redis) -> list[tuple[str, str, bool]]:
    """(task, arguments, later) of each message in the queue `training`."""
    found = [json.loads(text)["headers"] for text in client.lrange("training", 0, -1)]
    return [(head["task"], head["argsrepr"], bool(head["eta"])) for head in found]


def test_the_sweeper_hands_out_what_waits(queue: Redis, django_capture_on_commit_callbacks: Any) -> None:
    job = waiting_job()
    with django_capture_on_commit_callbacks(execute=True):
        tasks_finetune.sweep()
    assert sent(queue) == [("training.tasks_finetune.follow", f"('{job.pk}',)", False)]


def test_a_look_asks_for_the_next_one(queue: Redis, openai: Server, django_capture_on_commit_callbacks: Any) -> None:
    job = waiting_job("openai")
    with django_capture_on_commit_callbacks(execute=True):
        tasks_finetune.follow(str(job.pk))
    assert sent(queue) == [("training.tasks_finetune.follow", f"('{job.pk}',)", True)]
    assert jobs.get(job.pk).remote["job"] == "ftjob-1"
    with django_capture_on_commit_callbacks(execute=True):
        tasks_finetune.follow(str(job.pk))  # a second message for the same look ends here
    assert len(sent(queue)) == 1


def test_a_job_that_is_over_is_not_looked_at_again(
    queue: Redis, openai: Server, django_capture_on_commit_callbacks: Any
) -> None:
    job = waiting_job("openai")
    tasks_finetune.follow(str(job.pk))
    queue.flushall()
    openai.advance("succeeded", fine_tuned_model="ft:x")
    FineTune.objects.update(lease_until=None)
    with django_capture_on_commit_callbacks(execute=True):
        tasks_finetune.follow(str(job.pk))
    assert jobs.get(job.pk).state == "done"
    assert sent(queue) == []


def test_a_broker_that_is_away_stops_nobody(settings: Any, django_capture_on_commit_callbacks: Any) -> None:
    from llm import wake

    wake.sender.cache_clear()
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    try:
        with django_capture_on_commit_callbacks(execute=True):
            follow_soon(waiting_job().pk)
    finally:
        wake.sender.cache_clear()
