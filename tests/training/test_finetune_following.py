"""Looks at a fine-tune of this machine that need no trainer: what is refused at the last moment, what is cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.training.finetune_rows import waiting_job
from training.finetune import following, jobs
from training.models import DataSet, TunedModel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def test_a_model_that_is_gone(tmp_path: Path) -> None:
    job = waiting_job(base=str(tmp_path / "gone.gguf"))
    assert following.look(job_id=job.pk) is None
    job = jobs.get(job.pk)
    assert (job.state, job.error_code, job.lease_owner) == ("failed", "model_gone", "")
    assert "gone.gguf is not here" in job.error
    assert not TunedModel.objects.exists()
    assert not (tmp_path / "finetunes" / str(job.pk)).exists()


def test_in_the_language_of_who_asked(tmp_path: Path, ada: Any) -> None:
    ada.language = "sv"
    ada.save()
    job = waiting_job(base=str(tmp_path / "gone.gguf"), user_id=ada.pk)
    assert jobs.language_of(jobs.get(job.pk)) == "sv"
    assert jobs.language_of(waiting_job(name="other", base="x")) == "en"


def test_consent_taken_back_while_it_waited() -> None:
    job = waiting_job()
    DataSet.objects.update(stale=timezone.now())
    following.look(job_id=job.pk)
    assert jobs.get(job.pk).error_code == "stale"


def test_cancelled_between_two_looks() -> None:
    job = jobs.claim(job_id=waiting_job().pk)
    assert job is not None
    jobs.progress(job=job, done=1, total=9, stage="training")
    jobs.release(job=job, wait=60)
    assert following.look(job_id=job.pk) is None
    assert jobs.get(job.pk).state == "running"
    jobs.cancel(job_id=job.pk)
    assert following.look(job_id=job.pk) is None
    assert jobs.get(job.pk).state == "cancelled"


def test_somebody_else_looks() -> None:
    job = jobs.claim(job_id=waiting_job().pk)
    assert job is not None
    assert following.look(job_id=job.pk) is None
    assert jobs.get(job.pk).lease_owner == job.lease_owner
