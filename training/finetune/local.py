"""A fine-tune on this machine: the trainer is a process of its own, this starts it and takes over what it tells.

    DATA_DIR/finetunes/trainer.lock     held by the one trainer that runs; says whose
    DATA_DIR/finetunes/<job id>/        trainer_job.py; gone when the job is over, but for its log after a failure

Why a detached process and no worker of its own: nothing is in memory while nothing trains, the worker stays free for
everything else, and a worker that is killed does not take hours of training with it. It holds the lock as long as it
lives, which says reliably whether it runs, over restarts of everything else. When `up` ends, it pauses.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.utils.translation import gettext as _

from llm import adapters
from llm.errors import ModelUnavailable
from llm.llamacpp_server import cores
from training.models import Example, FineTune

from . import jobs, local_base, local_texts
from .errors import CancelRequested, JobFailed
from .options import LocalOptions

MOST_DEATHS = 3

log = logging.getLogger(__name__)


def poll(job: FineTune) -> bool:
    """Takes over what the trainer told since; False when none runs for this job and there is no end yet.

    At its end the adapter is installed, registered and loaded. Raises JobFailed, CancelRequested, LeaseLost.
    """
    folder = folder_of(job)
    running = _runs_for() == str(job.pk)
    events = list(_events(folder))
    if events:
        _tell(job, folder, events)
    end = _end(events)
    if running or end is None or end["outcome"] == "paused":
        return running
    if end["outcome"] == "done":
        _finish(job, folder, end)
        return True
    if end["outcome"] == "cancelled":
        raise CancelRequested
    _clean_up(folder, keep_log=True)
    raise JobFailed(end["code"], local_texts.sentence(end["code"], end["values"]))


def start(job: FineTune) -> None:
    """Starts or resumes the trainer and returns at once; later, when another one still runs. Raises JobFailed."""
    folder = folder_of(job)
    with _lock() as lock:
        if not _take(lock):
            jobs.progress(job=job, done=job.done, total=job.total, stage="waiting")
            return
        if not (folder / "spec.json").is_file():
            _write_job(job, folder)
        _count_start(folder)
        lock.seek(0)
        lock.truncate()
        lock.write(str(job.pk))
        lock.flush()
        with (folder / "trainer.log").open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "training.finetune.trainer", str(folder), str(lock.fileno())],
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock.fileno(),),  # it holds the lock from its first moment on
            )
        (folder / "pid").write_text(str(child.pid), encoding="ascii")
        child.returncode = 0  # nobody waits for it: it belongs to itself now


def cancel(job: FineTune) -> None:
    """Ends the trainer, if there is one, and removes all that it wrote."""
    folder = folder_of(job)
    if folder.is_dir():
        (folder / "cancel").touch()
        pid = _pid(folder)
        if pid and _runs_for() == str(job.pk):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _clean_up(folder)


def folder_of(job: FineTune) -> Path:
    return _home() / str(job.pk)


# --- before -------------------------------------------------------------------------------------


def _write_job(job: FineTune, folder: Path) -> None:
    """spec.json is written last: without it the folder counts as empty."""
    base = local_base.resolve(job.base)
    folder.mkdir(parents=True, exist_ok=True)
    for split in Example.Split.values:
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for row in _examples(job, split):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    spec = {
        "method": job.method,
        "base": base.place,
        "base_sha256": base.sha256,
        "options": LocalOptions.from_json(job.options).to_json(),
        "threads": cores(),
        "watch_pid": _process_manager(),
    }
    _write_spec(folder, spec)


def _write_spec(folder: Path, spec: Mapping[str, Any]) -> None:
    fresh = folder / "spec.json.new"
    fresh.write_text(json.dumps(spec, indent=1), encoding="utf-8")
    fresh.rename(folder / "spec.json")


def _examples(job: FineTune, split: str) -> Iterator[dict[str, Any]]:
    approved = Example.objects.filter(dataset_id=job.dataset_id, split=split, state=Example.State.APPROVED)
    rows = approved.order_by("pk").values("prompt", "answer", "rejected")
    yield from (dict(row) for row in rows.iterator(chunk_size=500))


def _process_manager() -> int:
    """Of `up`; the trainer pauses when it ends. 0 when something else started us."""
    try:
        text = (Path(settings.DATA_DIR) / "run" / "supervisord.pid").read_text(encoding="ascii")
        return int(text)
    except (OSError, ValueError):
        return 0


def _count_start(folder: Path) -> None:
    """Raises JobFailed when it was started again and again without a step in between, and never said why it ended."""
    path, step = folder / "starts.json", _last_step(folder)
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {"step": -1, "times": 0}
    end = _end(list(_events(folder)))
    told = end is not None and end["outcome"] == "paused"
    times = before["times"] + 1 if before["step"] == step and not told else 1
    if times > MOST_DEATHS:
        _clean_up(folder, keep_log=True)
        raise JobFailed("died", local_texts.sentence("died", {}))
    path.write_text(json.dumps({"step": step, "times": times}), encoding="utf-8")
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    if spec["watch_pid"] != _process_manager():  # `up` was restarted in between
        _write_spec(folder, {**spec, "watch_pid": _process_manager()})


# --- meanwhile ----------------------------------------------------------------------------------


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    """All that was told so far; a last line that is not whole yet is left for the next time."""
    try:
        text = (folder / "progress.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _end(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How the latest start ended, if it has."""
    last = next((event for event in reversed(events) if event["kind"] in ("start", "end")), None)
    return last if last is not None and last["kind"] == "end" else None


def _last_step(folder: Path) -> int:
    return max((event["step"] for event in _events(folder) if event["kind"] == "step"), default=0)


def _tell(job: FineTune, folder: Path, events: list[dict[str, Any]]) -> None:
    rows: dict[int, list[float | None]] = {}
    done, total, stage, left = job.done, job.total, job.stage, job.seconds_left
    for event in events:
        if event["kind"] == "step":
            done, total, left = event["step"], event["total"], event["seconds_left"]
            rows.setdefault(done, [done, None, None])[1] = event["loss"]
        elif event["kind"] == "held_out":
            rows.setdefault(event["step"], [event["step"], None, None])[2] = event["loss"]
        elif event["kind"] == "stage":
            stage, total = event["stage"], event.get("total", total)
    jobs.progress(job=job, done=done, total=total, stage=stage, losses=rows.values(), seconds_left=left)
    notes = [event for event in events if event["kind"] == "note"]
    path = folder / "told"
    told = int(path.read_text(encoding="ascii")) if path.is_file() else 0
    for note in notes[told:]:
        jobs.event(job=job, text=local_texts.note(note["code"], note["values"]))
    if notes[told:]:
        path.write_text(str(len(notes)), encoding="ascii")


# --- the end ------------------------------------------------------------------------------------


def _finish(job: FineTune, folder: Path, end: Mapping[str, Any]) -> None:
    """Installed, then registered; when that fails, it is not installed either."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    home = adapters.adapters_dir() / job.name
    facts = {name: end[name] for name in ("before", "after", "best_step", "steps", "seconds", "examples", "held_out")}
    facts["finetune"] = str(job.pk)
    known = adapters.find(job.name)
    if known is None or known.facts.get("finetune") != str(job.pk):
        try:
            adapters.install(
                name=job.name,
                source=folder / "result",
                base=spec["base"],
                base_sha256=spec["base_sha256"],
                facts=facts,
            )
        except ModelUnavailable as error:
            raise JobFailed("name_taken", str(error)) from error
    file, servable = _result_file(home), bool(spec["base_sha256"]) and (home / "adapter.gguf").is_file()
    model = str(adapters.model_id(job.name)) if servable else f"huggingface:{home / 'merged'}"
    versions = {**end["versions"], "seed": spec["options"]["seed"], "dataset": job.dataset.sha256}
    try:
        jobs.finish(
            job=job,
            model=model,
            path=f"adapters/{job.name}",
            sha256=local_base.sha256(file),
            versions={**versions, "base": spec["base_sha256"]},
        )
    except (JobFailed, CancelRequested):
        shutil.rmtree(home, ignore_errors=True)
        raise
    _clean_up(folder)
    if servable:
        try:
            adapters.load(name=job.name)
        except ModelUnavailable as error:
            FineTune.objects.filter(pk=job.pk).update(events=[*job.events, _warning(str(error))])


def _warning(text: str) -> dict[str, str]:
    from django.utils import timezone

    shown = _("The tuned model is ready, but not loaded: %(why)s") % {"why": text}
    return {"at": timezone.now().isoformat(timespec="seconds"), "level": "warning", "text": shown}


def _result_file(home: Path) -> Path:
    gguf = home / "adapter.gguf"
    return gguf if gguf.is_file() else home / "adapter_model.safetensors"


def _clean_up(folder: Path, *, keep_log: bool = False) -> None:
    """The examples are what people said: they are not kept longer than they are needed."""
    if not keep_log:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "trainer.log":
            path.unlink(missing_ok=True)


# --- who runs -----------------------------------------------------------------------------------


def _home() -> Path:
    return Path(settings.DATA_DIR) / "finetunes"


def _lock() -> TextIO:
    _home().mkdir(parents=True, exist_ok=True)
    return (_home() / "trainer.lock").open("a+", encoding="utf-8")


def _take(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs_for() -> str:
    """Id of the job that a trainer works on now; '' when none runs."""
    with _lock() as lock:
        if _take(lock):
            return ""
        lock.seek(0)
        return lock.read().strip()


def _pid(folder: Path) -> int:
    """Of the trainer of this folder; 0 when that number belongs to somebody else by now."""
    try:
        pid = int((folder / "pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return 0
    return pid if str(folder).encode() in command else 0
