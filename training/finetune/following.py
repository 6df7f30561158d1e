"""One look at a fine-tune, wherever it is trained: claim it, do what can be done now, let go of it.

The seam to training on this machine is finetune/local.py; it is always given a job that is claimed:

    poll(job)       writes what the process told (jobs.progress, jobs.event), ends the job when the process is done
                    (jobs.finish, or raises JobFailed); False when no process runs for it and there is no result
    start(job)      starts or resumes the process and returns at once; raises JobFailed
    cancel(job)     ends the process, if there is one
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import override

from training.models import FineTune

from . import checks, jobs, openai_training
from .errors import CancelRequested, FineTuneError, JobFailed, LeaseLost

LOCAL_SECONDS = 2.0
AWAY_SECONDS = 15.0

log = logging.getLogger(__name__)


def look(*, job_id: UUID | str) -> float | None:
    """Seconds until the next look; None when it is over, somebody else holds it, or it has to wait for another."""
    job = jobs.claim(job_id=job_id) or jobs.claim(job_id=job_id, to_cancel=True)
    if job is None:
        return None
    with override(jobs.language_of(job)):
        try:
            return _work(job)
        except CancelRequested:
            return _end(job)
        except LeaseLost:
            log.warning("fine-tune %s went to another worker or is over", job.pk)
        except JobFailed as error:
            jobs.fail(job=job, code=error.code, sentence=error.sentence)
        except OSError as error:
            log.exception("fine-tune %s", job.pk)
            why = {"why": error.strerror or error}
            jobs.fail(job=job, code="disk", sentence=_("A file could not be read or written: %(why)s.") % why)
    return None


def _work(job: FineTune) -> float | None:
    if job.cancel_requested:
        raise CancelRequested
    if not job.stage:
        _look_at_data(job)
    if job.where == FineTune.Where.LOCAL:
        if not _local().poll(job):
            _local().start(job)
        wait: float = LOCAL_SECONDS
    else:
        wait = openai_training.go_on(job)
    jobs.release(job=job, wait=wait)
    return wait if jobs.get(job.pk).state == FineTune.State.RUNNING else None


def _look_at_data(job: FineTune) -> None:
    """Consent may have been taken back while it waited."""
    try:
        checks.check_data(job.dataset, job.method)
    except FineTuneError as error:
        raise JobFailed(error.code, str(error)) from error


def _end(job: FineTune) -> float | None:
    """Stopped where it runs, then cancelled."""
    if job.where == FineTune.Where.LOCAL:
        _local().cancel(job)
    else:
        try:
            openai_training.stop(job)
        except openai_training.Away as away:
            wait = away.wait or AWAY_SECONDS
            jobs.release(job=job, wait=wait)
            return wait
    jobs.cancelled(job=job)
    return None


def _local() -> Any:
    """Loaded when it is needed: those who train at OpenAI alone never need it."""
    return import_module("training.finetune.local")
