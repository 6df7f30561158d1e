"""Downloads that a worker does: slices, cancelling, lost workers, and what else waits in the queue."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.translation import override

from llm import pulls
from llm.catalogue import Entry, models_dir
from llm.download import NoNetwork, NotEnoughDisk, Progress
from llm.download import hub as hub_downloads
from llm.errors import UnknownModel
from llm.fetching import fetch_model, wanted
from llm.local_errors import NotFound, NotPulling
from llm.models import ModelPull
from tests.servers import ROOT, free_port

from .model_sources import CONTENT, Hub, OllamaServer

pytestmark = pytest.mark.django_db
State = ModelPull.State
SIZE = len(CONTENT)


def _row(pull_id: UUID) -> ModelPull:
    return ModelPull.objects.get(pk=pull_id)


def _age(pull: ModelPull, seconds: float) -> None:
    ModelPull.objects.filter(pk=pull.pk).update(beat=timezone.now() - timedelta(seconds=seconds))


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> Hub:
    """A slice ends with the first bytes that came."""
    monkeypatch.setattr(pulls, "SLICE_SECONDS", 0.0)
    hub.slow = 0.02
    return hub


def test_what_went_wrong_is_said_in_the_language_of_who_asked(
    small_catalogue: dict[str, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    with override("sv"):
        pull = pulls.ask(model="known")
    ModelPull.objects.filter(pk=pull.pk).update(state=State.RUNNING, attempts=pulls.ATTEMPTS)
    _age(pull, 1000)
    pulls.forgotten()
    row = _row(pull.pk)
    assert (row.state, row.error_code) == (State.FAILED, "lost")
    assert row.error.startswith("Processen som hämtade")


# --- asking --------------------------------------------------------------------------------------


def test_the_same_model_is_asked_for_once(small_catalogue: dict[str, Entry]) -> None:
    first = pulls.ask(model="known")
    assert (first.model, first.state, first.bytes_total) == ("llamacpp:known", State.WAITING, SIZE)
    assert pulls.ask(model="llamacpp:known") == first
    assert pulls.ask(model="unknown") != first
    assert [row.model for row in pulls.recent()] == ["llamacpp:known", "llamacpp:unknown"]


def test_what_cannot_be_is_refused_when_it_is_asked_for(
    small_catalogue: dict[str, Entry], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    with pytest.raises(UnknownModel):
        pulls.ask(model="openai:gpt-4o")
    settings.OFFLINE = True
    for name in ("ollama:llama3.2", "known"):
        with pytest.raises(NoNetwork):
            pulls.ask(model=name)
    settings.OFFLINE = False
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(9, 9, 9))  # type: ignore[attr-defined]
    with pytest.raises(NotEnoughDisk):
        pulls.ask(model="known")
    assert not ModelPull.objects.exists()


# --- slices --------------------------------------------------------------------------------------


def test_a_small_model_comes_in_one_slice(small_catalogue: dict[str, Entry]) -> None:
    row = pulls.ask(model="known")
    assert pulls.run_slice(pull_id=row.pk) is False
    row = _row(row.pk)
    assert (row.state, row.bytes_done, row.bytes_total, row.attempts, row.error) == (State.DONE, SIZE, SIZE, 1, "")
    assert row.finished is not None
    assert (models_dir() / "known.gguf").read_bytes() == CONTENT
    assert pulls.run_slice(pull_id=row.pk) is False, "what is done is not done again"


def test_a_large_model_comes_in_slices_and_nothing_is_fetched_twice(
    small_catalogue: dict[str, Entry], short_slices: Hub
) -> None:
    row = pulls.ask(model="unknown")
    slices, done = 0, [0]
    while pulls.run_slice(pull_id=row.pk):
        slices += 1
        between = _row(row.pk)
        assert between.state == State.WAITING, "others have their turn"
        done.append(between.bytes_done)
    assert slices >= 3
    assert done == sorted(set(done)), "each slice brings something"
    assert _row(row.pk).state == State.DONE
    assert _row(row.pk).attempts == 1, "a slice is no attempt"
    starts = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for wanted in short_slices.ranges]
    assert starts == sorted(set(starts))
    assert (models_dir() / "unknown.gguf").read_bytes() == CONTENT


def test_ollama_in_slices(ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "SLICE_SECONDS", 0.0)
    ollama_server.library["llama3.2:3b"], ollama_server.slow = 10**9, 0.005
    row = pulls.ask(model="ollama:llama3.2:3b")
    slices = 1
    while pulls.run_slice(pull_id=row.pk):
        slices += 1
        assert slices < 20
    row = _row(row.pk)
    assert (row.state, row.bytes_done, row.bytes_total) == (State.DONE, 10**9, 10**9)
    assert slices > 2
    assert [tag["name"] for tag in ollama_server.tags] == ["llama3.2:3b"]


def test_a_transformers_model_in_slices(short_slices: Hub) -> None:
    short_slices.files |= {"/org/small/config.json": b"{}", "/org/small/model.safetensors": CONTENT}
    short_slices.slow = 0.1
    row = pulls.ask(model="huggingface:org/small")
    slices = 1
    while slices < 20 and pulls.run_slice(pull_id=row.pk):
        slices += 1
    row = _row(row.pk)
    assert (row.state, row.bytes_done, row.error) == (State.DONE, SIZE + 2, "")
    assert slices > 1
    starts = [wanted for wanted in short_slices.ranges if wanted]
    assert starts == list(dict.fromkeys(starts)), "nothing is fetched twice"


def test_progress_is_written_at_most_twice_a_second(
    small_catalogue: dict[str, Entry], hub: Hub, django_assert_max_num_queries: Any
) -> None:
    watch = pulls._Watch(pulls.ask(model="known").pk)
    ModelPull.objects.update(state=State.RUNNING)
    with django_assert_max_num_queries(1):
        for done in range(1000):
            watch.see(Progress("known", done, SIZE, safe=True))


def test_a_file_that_somebody_fetches_by_hand_is_waited_for_outside_of_the_worker(
    small_catalogue: dict[str, Entry],
) -> None:
    row = pulls.ask(model="known")
    states = []

    def meanwhile(_progress: Progress) -> None:
        if not states:
            states.append(pulls.run_slice(pull_id=row.pk))

    fetch_model(wanted("known"), meanwhile)
    assert states == [False], "not at once again"
    assert _row(row.pk).state == State.WAITING
    assert pulls.forgotten() == []
    _age(row, 30)
    assert pulls.forgotten() == [row.pk]
    pulls.run_slice(pull_id=row.pk)
    assert _row(row.pk).state == State.DONE


# --- errors --------------------------------------------------------------------------------------


def test_a_wrong_file_fails_with_its_sentence(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    row = pulls.ask(model="other")
    assert pulls.run_slice(pull_id=row.pk) is False
    row = _row(row.pk)
    assert (row.state, row.error_code) == (State.FAILED, "broken")
    assert "not the other its makers published, so it was deleted" in row.error
    assert not [path for path in models_dir().iterdir() if not path.name.endswith(".lock")]
    assert pulls.ask(model="other").pk != row.pk, "it may be asked for again"


def test_without_a_network_it_is_said_at_once(
    small_catalogue: dict[str, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    row = pulls.ask(model="unknown")
    pulls.run_slice(pull_id=row.pk)
    assert (_row(row.pk).state, _row(row.pk).error_code) == (State.FAILED, "no_network")


def test_a_network_that_was_there_is_tried_again_three_times(
    small_catalogue: dict[str, Entry], short_slices: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = pulls.ask(model="unknown")
    assert pulls.run_slice(pull_id=row.pk)
    monkeypatch.setattr(hub_downloads, "ATTEMPTS", 1)
    short_slices.cut = (0, 99)
    for _ in range(2):
        assert pulls.run_slice(pull_id=row.pk) is False
        assert _row(row.pk).state == State.WAITING
    pulls.run_slice(pull_id=row.pk)
    row = _row(row.pk)
    assert (row.state, row.error_code) == (State.FAILED, "cut")
    short_slices.cut, short_slices.slow = (0, 0), 0.0
    monkeypatch.setattr(pulls, "SLICE_SECONDS", 20.0)
    again = pulls.ask(model="unknown")
    short_slices.asked.clear()
    pulls.run_slice(pull_id=again.pk)
    assert _row(again.pk).state == State.DONE
    assert short_slices.ranges[0] == f"bytes={row.bytes_done}-", "a new download goes on from there too"


# --- cancelling ----------------------------------------------------------------------------------


def test_what_waits_is_cancelled_at_once(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    row = pulls.ask(model="known")
    assert pulls.cancel(pull_id=row.pk).state == State.CANCELLED
    assert pulls.cancel(pull_id=row.pk).state == State.CANCELLED, "twice is the same"
    assert pulls.run_slice(pull_id=row.pk) is False
    assert hub.asked == []


def test_what_runs_is_cancelled_with_the_next_bytes_and_its_part_is_kept(
    small_catalogue: dict[str, Entry], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "WRITE_SECONDS", 0.0)
    row = pulls.ask(model="known")
    see = pulls._Watch.see

    def cancel_after_a_while(watch: Any, progress: Progress) -> None:
        if progress.done > 300_000:
            assert pulls.cancel(pull_id=row.pk).cancel_requested
        see(watch, progress)

    monkeypatch.setattr(pulls._Watch, "see", cancel_after_a_while)
    assert pulls.run_slice(pull_id=row.pk) is False
    assert _row(row.pk).state == State.CANCELLED
    assert not (models_dir() / "known.gguf").exists()
    assert (models_dir() / "known.gguf.part").stat().st_size > 300_000


def test_what_is_over_cannot_be_cancelled(small_catalogue: dict[str, Entry]) -> None:
    row = pulls.ask(model="known")
    pulls.run_slice(pull_id=row.pk)
    with pytest.raises(NotPulling):
        pulls.cancel(pull_id=row.pk)
    with pytest.raises(NotFound):
        pulls.cancel(pull_id=uuid4())


# --- lost workers --------------------------------------------------------------------------------


def test_two_workers_never_fetch_the_same(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    row = pulls.ask(model="known")
    assert pulls._claim(row.pk)
    assert not pulls._claim(row.pk)
    assert pulls.run_slice(pull_id=row.pk) is False
    assert hub.asked == []


def test_a_lost_pull_is_handed_out_again_three_times_at_most(small_catalogue: dict[str, Entry]) -> None:
    row = pulls.ask(model="known")
    for attempt in (1, 2, 3):
        assert pulls._claim(row.pk)
        assert _row(row.pk).attempts == attempt
        assert pulls.forgotten() == [], "its heart beats"
        _age(row, 200)
        assert pulls.forgotten() == ([row.pk] if attempt < 3 else [])
    row = _row(row.pk)
    assert (row.state, row.error_code) == (State.FAILED, "lost")
    assert not pulls._claim(row.pk)


def test_a_lost_message_and_a_lost_cancellation_are_found(small_catalogue: dict[str, Entry]) -> None:
    row = pulls.ask(model="known")
    assert pulls.forgotten() == []
    ModelPull.objects.filter(pk=row.pk).update(created=timezone.now() - timedelta(seconds=30))
    assert pulls.forgotten() == [row.pk]
    pulls._claim(row.pk)
    pulls.cancel(pull_id=row.pk)
    _age(row, 200)
    assert pulls.forgotten() == []
    assert _row(row.pk).state == State.CANCELLED


def test_without_a_broker_asking_is_no_error(
    small_catalogue: dict[str, Entry],
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    from llm.wake import pull_soon

    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/valkey.sock"  # other tests may have started one
    with django_capture_on_commit_callbacks(execute=True):
        pull_soon(pulls.ask(model="known").pk)
    assert "the sweeper will find what waits" in caplog.text


# --- the real worker -----------------------------------------------------------------------------

SCRIPT = """
import time
import django; django.setup()
from llm import pulls
from llm.models import ModelPull
from llm.wake import pull_soon, sender
row = pulls.ask(model="llamacpp:org/repo/tiny.gguf")
pull_soon(row.pk)
other = False
for _ in range(600):
    row.refresh_from_db()
    if row.bytes_done and row.state in ("waiting", "running") and not other:
        sender().send_task("knowledge.tasks.process_documents", queue="knowledge")
        other = True
    if row.state in ("done", "failed"):
        break
    time.sleep(0.1)
print(row.state, row.bytes_done, row.attempts, row.error)
"""


def test_the_embedded_worker_does_other_work_between_two_slices(valkey: str, hub: Hub, tmp_path: Path) -> None:
    """The real worker with one process, as `up` starts it, and a download that takes many slices."""
    hub.files["/org/repo/tiny.gguf"], hub.slow = CONTENT, 0.3
    environment = {
        **os.environ,
        "COACH_DATA_DIR": str(tmp_path / "data"),
        "COACH_CACHE_DIR": str(tmp_path / "cache"),
        "COACH_OFFLINE": "0",
        "COACH_MODELS": "guided",
        "REDIS_URL": valkey,
        "CHROMA_URL": django_settings.CHROMA_URL,
    }
    python = [sys.executable]
    subprocess.run([*python, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=60)
    queues = "default,knowledge,models"
    command = [
        *python,
        "-m",
        "celery",
        "-A",
        "tests.llm.worker_with_short_slices",
        "worker",
        "-Q",
        queues,
        "-c",
        "1",
        "-l",
        "info",
    ]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"], cwd=ROOT, env=environment, stderr=output, stdout=output
        )
        try:
            done = subprocess.run(
                [*python, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
            )
        finally:
            worker.terminate()
            worker.wait(30)
    text = log.read_text()
    assert done.stdout.split()[:3] == ["done", str(SIZE), "1"], (done.stdout, done.stderr, text)
    finished = [line for line in text.splitlines() if " succeeded in " in line]
    kinds = ["pull" if "pull_model" in line else "other" for line in finished]
    assert kinds.count("pull") >= 3, text
    assert "other" in kinds[: len(kinds) - 1 - kinds[::-1].index("pull")], (
        "the other task waited for the whole download"
    )
    assert (tmp_path / "cache" / "models" / "org--repo--tiny.gguf").read_bytes() == CONTENT
