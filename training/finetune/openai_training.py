"""A fine-tune at OpenAI, step by step; every id is stored before the next step, so a restart goes on where it was.

    check, write the files ─► upload them ─► create the job ─► follow it ─► delete the files ─► register the model

What is known of OpenAI's side is in FineTune.remote:

    files       {"train": {"name", "bytes", "sha256", "id"}, "held_out": …}; "id" is '' until the upload was answered
    creating    the job was asked for; without an id a restart looks for it there before it asks again
    job, status, event (the last one seen), model (the result), away (since when it does not answer), tries
"""

from __future__ import annotations

import logging
import shutil
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from training.models import FineTune

from . import checks, jobs, openai_data
from .errors import FineTuneError, JobFailed
from .openai_api import Away, OpenAITraining
from .options import OpenAIOptions

__all__ = ["Away", "go_on", "stop"]
log = logging.getLogger(__name__)

FOLLOW_SECONDS = 10.0
AWAY_SECONDS, MOST_AWAY_SECONDS = 10.0, 600.0
# So long without any answer, and it is given up.
PATIENCE_SECONDS = 24 * 3600.0
MOST_EVENTS_AT_ONCE = 50
OVER = ("succeeded", "failed", "cancelled")


def go_on(job: FineTune) -> float:
    """All that can be done now; seconds until it is worth looking again. Raises JobFailed, CancelRequested, LeaseLost.

    The job may be over afterwards.
    """
    _may_leave(job)
    try:
        with OpenAITraining() as api:
            if not job.remote.get("job"):
                _upload(job, api)
                _create(job, api)
            _follow(job, api)
    except Away as away:
        return _wait(job, away)
    except JobFailed:
        _clean_up(job)
        raise
    if job.remote.get("away"):
        jobs.event(job=job, text=_("OpenAI answers again."))
        _remember(job, away=None, tries=0)
    return FOLLOW_SECONDS


def stop(job: FineTune) -> None:
    """Cancels it there and deletes what was uploaded. Raises Away, LeaseLost."""
    remote = job.remote
    with OpenAITraining() as api:
        try:
            if remote.get("creating") and not remote.get("job"):
                found = api.find_job(_file_id(job, "train"))
                if found:
                    _remember(job, job=found.id)
            if job.remote.get("job"):
                api.cancel_job(job.remote["job"])
                jobs.event(job=job, text=_("The training was stopped at OpenAI."))
            _find_uploads(job, api)
        except JobFailed as error:  # the key does not work any more, for example: nothing can be done from here
            jobs.event(job=job, level="warning", text=error.sentence)
    _clean_up(job)


# --- steps --------------------------------------------------------------------------------------


def _may_leave(job: FineTune) -> None:
    """The switch may have been turned off since, and consent taken back."""
    try:
        checks.check_cloud(job.dataset)
    except FineTuneError as error:
        raise JobFailed(error.code, str(error)) from error


def _upload(job: FineTune, api: OpenAITraining) -> None:
    """Both files, each once: what arrived although its answer was lost is found by name and size."""
    _prepare(job)
    for split, known in job.remote["files"].items():
        if known["id"]:
            continue
        jobs.save(job=job, stage="uploading")
        again = known.get("begun", False)
        found = api.find_file(known["name"], known["bytes"]) if again else ""
        if not found:
            _remember_file(job, split, begun=True)
            path = _folder(job) / f"{split}.jsonl"
            found = api.upload(path, known["name"], partial(jobs.renew, job=job))
        _remember_file(job, split, id=found, begun=True)
        jobs.event(
            job=job,
            text=_("%(name)s is at OpenAI (%(kb)s kB).") % {"name": known["name"], "kb": -(-known["bytes"] // 1024)},
        )


def _prepare(job: FineTune) -> None:
    """The files as bytes, and what they will cost. A restart writes them again, byte for byte."""
    jobs.save(job=job, stage="checking")
    options = OpenAIOptions.from_json(job.options)
    try:
        cost = openai_data.estimate(dataset=job.dataset, base=job.base, options=options)
        files = {}
        for split in openai_data.SPLITS:
            path = _folder(job) / f"{split}.jsonl"
            lines, sha256 = openai_data.write(job.dataset, split, path)
            if lines:
                name = f"ai-coach-{job.pk}-{split}.jsonl"
                files[split] = {"name": name, "bytes": path.stat().st_size, "sha256": sha256, "id": ""}
    except FineTuneError as error:
        raise JobFailed(error.code, str(error)) from error
    except OSError as error:
        shutil.rmtree(_folder(job), ignore_errors=True)
        why = {"why": error.strerror or error}
        raise JobFailed("disk", _("The examples could not be written to the data folder: %(why)s.") % why) from error
    known = job.remote.get("files", {})
    for split, values in files.items():
        if known.get(split, {}).get("sha256") == values["sha256"]:
            values |= known[split]
    jobs.save(job=job, cost={**job.cost, **cost.to_json()}, remote={**job.remote, "files": files})


def _create(job: FineTune, api: OpenAITraining) -> None:
    found = api.find_job(_file_id(job, "train")) if job.remote.get("creating") else None
    if found is None:
        _remember(job, creating=True)
        found = api.create_job(**_request(job))
    _remember(job, job=found.id, status=found.status)
    jobs.event(job=job, text=_("OpenAI has the job %(id)s.") % {"id": found.id})
    shutil.rmtree(_folder(job), ignore_errors=True)


def _request(job: FineTune) -> dict[str, Any]:
    options = OpenAIOptions.from_json(job.options)
    chosen = {
        "n_epochs": options.n_epochs,
        "batch_size": options.batch_size,
        "learning_rate_multiplier": options.learning_rate_multiplier,
        "beta": options.beta if job.method == FineTune.Method.DPO else 0,
    }
    kind = "dpo" if job.method == FineTune.Method.DPO else "supervised"
    request: dict[str, Any] = {
        "model": job.base,
        "training_file": _file_id(job, "train"),
        "suffix": job.name,
        "seed": options.seed,
        "method": {"type": kind, kind: {"hyperparameters": {name: value for name, value in chosen.items() if value}}},
        "metadata": {"ai_coach_job": str(job.pk)},
    }
    if held_out := _file_id(job, "held_out"):
        request["validation_file"] = held_out
    return request


def _follow(job: FineTune, api: OpenAITraining) -> None:
    found = api.job(job.remote["job"])
    _write_down(job, api, found)
    if found.status not in OVER:
        return
    if found.status == "succeeded" and found.fine_tuned_model:
        _remember(job, model=found.fine_tuned_model)
        if found.trained_tokens:
            jobs.save(job=job, cost={**job.cost, "trained_tokens": found.trained_tokens})
        _clean_up(job)
        jobs.finish(job=job, model=f"openai:{found.fine_tuned_model}", versions=_versions(found))
        return
    if found.status == "cancelled":
        raise JobFailed("cancelled_there", _("The training was cancelled at OpenAI, not from here."))
    why = (found.error.message if found.error else "") or _("it gave no reason")
    code = (found.error.code if found.error else "") or "failed_there"
    if code in ("invalid_training_file", "invalid_validation_file", "invalid_file_format"):
        raise JobFailed("file_refused", _("OpenAI refused the examples: %(why)s") % {"why": why})
    raise JobFailed("failed_there", _("The training failed at OpenAI: %(why)s") % {"why": why})


def _write_down(job: FineTune, api: OpenAITraining, found: Any) -> None:
    """Its state, new events and the loss curve, in one write."""
    fresh = api.events(found.id, job.remote.get("event", ""))
    rows, total, told = [], job.total, []
    for one in fresh:
        measures = one["data"]
        if one["type"] == "metrics" and measures.get("step") is not None:
            rows.append(_loss_row(measures))
            total = int(measures.get("total_steps") or total)
        else:
            at = datetime.fromtimestamp(one["at"], UTC).isoformat(timespec="seconds")
            level = {"warn": "warning"}.get(one["level"], one["level"])
            told.append({"at": at, "level": level, "text": one["text"]})
    if found.status in OVER or any(one["type"] == "metrics" for one in fresh):
        rows += [_loss_row(measures) for measures in api.checkpoints(found.id)]
    rows = [row for row in rows if row[1] is not None]
    done = max([job.done, *(int(row[0]) for row in rows)])
    left = max(0.0, found.estimated_finish - time.time()) if found.estimated_finish else None
    jobs.progress(job=job, done=done, total=max(total, done), stage=found.status, losses=rows, seconds_left=left)
    remote = {**job.remote, "status": found.status, "event": fresh[-1]["id"] if fresh else job.remote.get("event", "")}
    jobs.keep(
        job=job, remote=remote, attempts=0, events=[*job.events, *told[-MOST_EVENTS_AT_ONCE:]][-jobs.MOST_EVENTS :]
    )


def _loss_row(measures: dict[str, Any]) -> list[Any]:
    held_out = measures.get("full_valid_loss")
    if held_out is None:
        held_out = measures.get("valid_loss")
    return [int(measures["step"]), measures.get("train_loss"), held_out]


def _versions(found: Any) -> dict[str, Any]:
    """What OpenAI says it trained with."""
    chosen, method = getattr(found, "hyperparameters", None), getattr(found, "method", None)
    return {
        "base": found.model,
        "seed": found.seed,
        "hyperparameters": chosen.model_dump(exclude_none=True) if chosen else {},
        "method": method.model_dump(exclude_none=True) if method else {},
    }


# --- what is left behind ------------------------------------------------------------------------


def _clean_up(job: FineTune) -> None:
    """Deletes the uploaded files there, if that was wanted; a file that cannot be deleted is said, and named."""
    shutil.rmtree(_folder(job), ignore_errors=True)
    if not OpenAIOptions.from_json(job.options).delete_files:
        return
    with OpenAITraining() as api:
        for split, known in job.remote.get("files", {}).items():
            if not known["id"] or known.get("deleted"):
                continue
            try:
                api.delete_file(known["id"])
            except (Away, JobFailed) as error:
                text = _("The file %(id)s could not be deleted at OpenAI; delete it there. %(why)s")
                jobs.event(job=job, level="warning", text=text % {"id": known["id"], "why": error.sentence})
            else:
                _remember_file(job, split, deleted=True)


def _find_uploads(job: FineTune, api: OpenAITraining) -> None:
    """Those that arrived although the answer was lost."""
    for split, known in job.remote.get("files", {}).items():
        if known.get("begun") and not known["id"]:
            _remember_file(job, split, id=api.find_file(known["name"], known["bytes"]))


# --- when it does not answer ----------------------------------------------------------------------


def _wait(job: FineTune, away: Away) -> float:
    """Longer each time; said once, and given up after a day."""
    now = timezone.now()
    since = datetime.fromisoformat(job.remote["away"]) if job.remote.get("away") else now
    if (now - since).total_seconds() > PATIENCE_SECONDS:
        sentence = _("OpenAI did not answer for a day, so it was given up. %(why)s") % {"why": away.sentence}
        raise JobFailed("away", sentence)
    tries = int(job.remote.get("tries") or 0)
    if not tries:
        jobs.event(job=job, level="warning", text=away.sentence)
    _remember(job, away=since.isoformat(), tries=tries + 1)
    wait = min(MOST_AWAY_SECONDS, AWAY_SECONDS * 2 ** min(tries, 10))
    return max(wait, min(away.wait or 0.0, MOST_AWAY_SECONDS))


# --- within ---------------------------------------------------------------------------------------


def _folder(job: FineTune) -> Path:
    return Path(settings.DATA_DIR) / "finetunes" / str(job.pk)


def _file_id(job: FineTune, split: str) -> str:
    return str(job.remote.get("files", {}).get(split, {}).get("id", ""))


def _remember(job: FineTune, /, **values: Any) -> None:
    jobs.keep(job=job, remote={**job.remote, **values})


def _remember_file(job: FineTune, split: str, /, **values: Any) -> None:
    files = job.remote["files"]
    _remember(job, files={**files, split: {**files[split], **values}})
