"""A fine-tune on this machine from the row to the installed adapter, with the real trainer on a tiny model."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm import adapters
from tests.llm import tiny
from tests.training.finetune_rows import frozen_set, waiting_job
from training.finetune import following, jobs, local
from training.models import DataSet, FineTune, TunedModel

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore")]
OPTIONS = {"epochs": 2, "learning_rate": 0.01, "rank": 2, "alpha": 4, "max_tokens": 250, "early_stop": 0}
LONG = {**OPTIONS, "epochs": 100, "learning_rate": 0.0001}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()
    return tmp_path / "data"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.gguf_file(tmp_path / "tiny.gguf")


def follow(job: FineTune, until: Callable[[FineTune], bool]) -> FineTune:
    deadline = time.monotonic() + 90
    while not until(job := jobs.get(job.pk)):
        assert time.monotonic() < deadline, (job.state, job.stage, job.done)
        following.look(job_id=job.pk)
        FineTune.objects.filter(pk=job.pk, lease_owner="").update(lease_until=None)  # nobody waits in a test
        time.sleep(0.05)
    return job


def over(job: FineTune) -> bool:
    return job.state not in (FineTune.State.WAITING, FineTune.State.RUNNING)


def pid_of(job: FineTune) -> int:
    return int((local.folder_of(job) / "pid").read_text())


def test_from_the_row_to_an_adapter_that_shall_be_loaded(base: Path, home: Path) -> None:
    job = follow(waiting_job(base=str(base), options=OPTIONS), over)
    assert job.state == FineTune.State.DONE, job.error
    tuned = TunedModel.objects.get()
    assert (tuned.name, tuned.model, tuned.path) == ("autumn", "llamacpp:lora/autumn", "adapters/autumn")
    assert tuned.finetune_id == job.pk
    assert tuned.synthetic  # as its data set is
    adapter = adapters.find("autumn")
    assert adapter is not None
    assert adapter.base == base
    assert adapter.facts["finetune"] == str(job.pk)
    assert adapter.facts["after"] < adapter.facts["before"]
    assert tuned.sha256 == local.local_base.sha256(adapter.file)
    assert adapters.wanted() == ["autumn"]
    assert job.losses[0][:2] == [0, None]  # how it was before
    assert job.losses[-1][0] == job.total == job.done == 6
    assert job.versions["dataset"] == job.dataset.sha256
    assert job.versions["base"] == adapter.base_sha256
    assert job.versions["seed"] == 0
    assert "torch" in job.versions
    assert list((home / "finetunes").iterdir()) == [home / "finetunes" / "trainer.lock"]  # no examples are kept


def test_killed_in_the_middle_it_goes_on_by_itself(base: Path) -> None:
    job = waiting_job(base=str(base), options={**OPTIONS, "epochs": 12})
    job = follow(job, lambda job: job.done >= 21)
    os.kill(pid_of(job), signal.SIGKILL)
    job = follow(job, over)
    assert job.state == FineTune.State.DONE, job.error
    assert [row[0] for row in job.losses] == list(range(37))


def test_cancelled_it_leaves_nothing(base: Path, home: Path) -> None:
    job = follow(waiting_job(base=str(base), options=LONG), lambda job: job.done >= 1)
    pid = pid_of(job)
    jobs.cancel(job_id=job.pk)
    job = follow(job, over)
    assert job.state == FineTune.State.CANCELLED
    deadline = time.monotonic() + 20
    while local._runs_for() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert local._runs_for() == ""
    assert not local.folder_of(job).exists()
    assert adapters.installed() == []
    assert not TunedModel.objects.exists()
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"" if Path(f"/proc/{pid}").exists() else True


def test_a_model_that_is_gone_is_told_in_a_sentence(base: Path) -> None:
    job = waiting_job(base=str(base), options=OPTIONS)
    base.unlink()
    job = follow(job, over)
    assert (job.state, job.error_code) == (FineTune.State.FAILED, "model_gone")
    assert job.error == "The base model tiny.gguf is not here; fetch it and train again."
    assert not TunedModel.objects.exists()


def test_what_the_trainer_refuses_is_told_in_a_sentence_and_the_examples_go(base: Path) -> None:
    job = waiting_job(base=str(base), options={**OPTIONS, "max_tokens": 32})
    job = follow(job, over)
    assert (job.state, job.error_code) == (FineTune.State.FAILED, "nothing_left")
    assert "All examples are longer than 32 tokens" in job.error
    assert [path.name for path in local.folder_of(job).iterdir()] == ["trainer.log"]


def test_a_trainer_that_dies_again_and_again_is_given_up(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    job = follow(waiting_job(base=str(base), options=OPTIONS), over)
    assert (job.state, job.error_code) == (FineTune.State.FAILED, "died")
    assert "three times" in job.error


def test_only_one_trains_at_a_time(base: Path, home: Path) -> None:
    job = waiting_job(base=str(base), options=OPTIONS)
    (home / "finetunes").mkdir()
    with (home / "finetunes" / "trainer.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        following.look(job_id=job.pk)
        job = jobs.get(job.pk)
        assert (job.state, job.stage) == (FineTune.State.RUNNING, "waiting")
        assert not local.folder_of(job).exists()


def test_a_name_that_was_taken_meanwhile_is_not_installed_twice(base: Path, home: Path) -> None:
    job = follow(waiting_job(base=str(base), options=OPTIONS), lambda job: job.done >= 1)
    (home / "adapters" / "autumn").mkdir(parents=True)
    job = follow(job, over)
    assert (job.state, job.error_code) == (FineTune.State.FAILED, "name_taken")
    assert not TunedModel.objects.exists()


def test_pairs_train_by_preference(base: Path) -> None:
    dataset = frozen_set(kind=DataSet.Kind.PREFERENCES)
    options = {**OPTIONS, "epochs": 1}
    job = follow(waiting_job(base=str(base), options=options, dataset=dataset, method="dpo"), over)
    assert job.state == FineTune.State.DONE, job.error
    assert job.losses[0][2] == pytest.approx(0.6931, abs=1e-3)


def test_the_spec_names_the_process_manager(base: Path, home: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / "supervisord.pid").write_text("4711\n")
    job = waiting_job(base=str(base), options=OPTIONS)
    local._write_job(job, local.folder_of(job))
    spec = json.loads((local.folder_of(job) / "spec.json").read_text())
    assert spec["watch_pid"] == 4711
    assert spec["options"]["rank"] == 2
    rows = (local.folder_of(job) / "train.jsonl").read_text().splitlines()
    assert len(rows) == 12
    assert json.loads(rows[0])["prompt"][-1]["content"] == "How do I begin with habit 0?"
