"""The Celery edge: what a task calls, and a broker that is away."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from knowledge import ingest, reconcile, tasks, wake
from knowledge.errors import IndexUnavailable
from llm import wake as senders


def test_every_task_names_a_known_queue() -> None:
    for task in (tasks.process_documents, tasks.sweep_documents, tasks.drop_collections):
        assert task.queue in settings.CELERY_TASK_QUEUES
    assert tasks.process_documents.name == wake.PROCESS
    assert tasks.sweep_documents.name == settings.CELERY_BEAT_SCHEDULE["sweep-documents"]["task"]


def test_a_task_without_work_asks_for_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "wake_worker", lambda: woken.append(1))
    tasks.process_documents()
    tasks.sweep_documents()
    assert woken == []


def test_a_task_that_ran_out_of_time_queues_itself_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "wake_worker", lambda: woken.append(1))
    monkeypatch.setattr(tasks, "BATCH_SECONDS", -1)
    tasks.process_documents()
    assert woken == [1]


def test_a_stage_that_is_away_is_no_failed_task(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> int:
        raise IndexUnavailable

    monkeypatch.setattr(ingest, "process_pending", away)
    tasks.process_documents()


def test_the_sweeper_wakes_the_worker(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks, "wake_worker", lambda: woken.append(1))
    monkeypatch.setattr(reconcile, "forgotten", lambda: True)
    tasks.sweep_documents()
    assert woken == [1]


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_fails_no_upload(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders.sender.cache_clear()
    monkeypatch.setattr(settings, "CELERY_BROKER_URL", "redis+socket:///nowhere/valkey.sock")
    wake.wake_worker()
    wake.drop_later(["kb1-x"])
    assert "the broker does not answer" in caplog.text
    assert senders.worker_answers() is False
    senders.sender.cache_clear()
