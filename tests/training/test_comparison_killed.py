"""A worker that is killed in the middle of a comparison: another goes on, and nothing is asked twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import asyncio, json, sys, django
django.setup()
from datetime import timedelta
from llm import switcher
from llm.types import ModelId
from tests.fakes import FakeLanguageModel
from training.comparison import asking, jobs, run, services
from training.models import AnswerPair, Comparison, TunedModel

class Slow(FakeLanguageModel):
    async def stream(self, request):
        await asyncio.sleep(float(sys.argv[1]))
        with open(sys.argv[2], "a") as file:
            file.write(f"{self.id} {request.messages[-1].content!r}\\n")
        async for event in super().stream(request):
            yield event

models = {ModelId("ollama", name): Slow(id=ModelId("ollama", name)) for name in ("tuned", "live")}
switcher.language_model = asking.language_model = models.__getitem__
row = Comparison.objects.first()
if row is None:
    one = TunedModel.objects.create(name="tuned", model="ollama:tuned", base="b")
    row = services.start(candidate=one, live="ollama:live", options={"languages": ["en"], "suite": 6})
jobs.LEASE = timedelta(seconds=1)
goes_on = run.run_slice(comparison_id=row.pk)
row.refresh_from_db()
keys = list(AnswerPair.objects.values_list("figures__key", flat=True))
print(json.dumps({"state": row.state, "error": row.error, "keys": keys, "done": row.done, "total": row.total}))
"""


def test_another_worker_goes_on_after_kill_9(tmp_path: Path, settings: Any) -> None:
    environment = {**os.environ, "COACH_DATA_DIR": str(tmp_path), "COACH_MODELS": "guided"}
    environment |= {"DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=60)
    asked = tmp_path / "asked"
    command = [sys.executable, "-c", WORKER]
    first = subprocess.Popen([*command, "0.2", str(asked)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until and (not asked.exists() or len(asked.read_text().splitlines()) < 5):
        time.sleep(0.05)
    first.kill()
    assert first.wait() == -9
    before = len(asked.read_text().splitlines())
    assert 5 <= before < 12
    time.sleep(1.1)  # its lease runs out
    done = subprocess.run(
        [*command, "0", str(asked)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert (found["state"], found["error"], found["done"], found["total"]) == ("done", "", 6, 6)
    assert len(found["keys"]) == len(set(found["keys"])) == 6
    # Only the question that the first one was at can have been asked again, of one or both models.
    assert 12 <= len(asked.read_text().splitlines()) <= 14
