"""That neither process stands still while Python looks through all it has loaded."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from coach import garbage
from coach.management.commands import runworker
from tests.servers import ROOT

WEB = """
import gc, config.asgi
from django.test import Client
before, most = gc.get_freeze_count(), len(gc.get_objects())
first, second = [Client().get("/healthz", headers={"host": "localhost"}) for _ in range(2)]
print(before, first.status_code, second.status_code, gc.get_freeze_count() > most / 2, gc.get_threshold()[0])
"""

WORKER = """
import gc, django
from config.celery import app
from celery.signals import worker_before_create_process
app.loader.import_default_modules()
before, looks, most = gc.get_freeze_count(), gc.get_stats()[2]["collections"], len(gc.get_objects())
worker_before_create_process.send(None)
print(before, gc.get_freeze_count() > most * 0.9, gc.get_stats()[2]["collections"] - looks)
"""


def test_the_worker_shares_what_it_has_loaded_with_its_children() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0", "True", "0"], done.stderr


def test_the_web_process_spares_its_pages_after_the_first_request() -> None:
    done = subprocess.run([sys.executable, "-c", WEB], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0", "200", "200", "True", "700"], done.stderr


async def test_the_runner_spares_its_models_once_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(runworker, "embedder", lambda: done.append("embedder"))
    monkeypatch.setattr(runworker, "load_models", lambda: done.append("models"))
    spared = asyncio.Event()

    def spare() -> None:
        done.append("spared")
        spared.set()

    monkeypatch.setattr(garbage, "spare_what_is_here", spare)

    async def runner(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "runner.stop":
                message["done"].set()

    worker = runworker.TurnWorker(runner, ["turns"], InMemoryChannelLayer())
    before = gc.get_threshold()
    try:
        working = asyncio.create_task(worker.handle())
        await asyncio.wait_for(spared.wait(), 10)
        assert gc.get_threshold()[0] == garbage.YOUNG_OF_RUNNER
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(working, 10)
    finally:
        gc.set_threshold(*before)
    assert sorted(done[:2]) == ["embedder", "models"]
    assert done[2:] == ["spared"]
