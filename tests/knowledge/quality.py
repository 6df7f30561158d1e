"""Fixtures for the pages about how good a base is: indexed passages, and a model server that says what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from knowledge import jobs
from knowledge.models import Job
from knowledge.tasks_quality import run_job
from llm import health, live_order, policy
from llm.registry import language_model
from tests.llm.conftest import ModelServer


@pytest.fixture
def model(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """The only model of the installation, on this machine; `answers` are its next ones."""
    server = ModelServer()
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = f"{server.url}/v1", ""
    settings.COACH_MODELS = "openai:m"
    monkeypatch.setattr("llm.calls.report", lambda report: None)
    _forget()
    yield server
    _forget()
    server.close()


def _forget() -> None:
    health.forget()
    policy.forget()
    live_order.forget()
    language_model.cache_clear()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have gone to the broker."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr("llm.wake.send", lambda *message, seconds: found.append(message))
    return found


@pytest.fixture
def run() -> Callable[[Job], Job]:
    """Runs slices of a job until it is over, as a worker would."""

    def until_over(job: Job) -> Job:
        for _slice in range(50):
            run_job(str(job.pk))
            job.refresh_from_db()
            if job.state not in jobs.UNFINISHED:
                return job
        raise AssertionError("it does not end")

    return until_over
