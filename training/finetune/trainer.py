"""`python -m training.finetune.trainer JOB_FOLDER [LOCK]`: trains a LoRA, tells of it in progress.jsonl, and ends.

A process of its own, at the lowest priority, without Django: chat keeps its cores, and a worker that is killed does
not take the training with it. The lock beside the job folders (`trainer.lock`) is held as long as it runs: one
training at a time on a machine. What it was killed in the middle of goes on at the last checkpoint when it is
started again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .trainer_job import Reporter, Spec, Stop, Stopped, TrainerError

NICE = 19
SPIN_COUNT = "1000"  # idle threads sleep instead of keeping a core busy
DISK_BYTES = 50_000_000  # beside what the adapter and its checkpoints take


def main(arguments: list[str]) -> int:
    """0 when progress.jsonl tells the end of it, 1 when another trainer runs."""
    folder = Path(arguments[0]).resolve()
    with _alone(folder, int(arguments[1]) if len(arguments) > 1 else None) as alone:
        if not alone:
            return 1
        _be_modest(Spec.read(folder).threads)
        reporter = Reporter(folder)
        reporter.tell("start", pid=os.getpid())
        outcome, values = _run(folder, reporter)
        with suppress(OSError):  # a full disk: the reader sees that the process has ended without a word
            reporter.tell("end", outcome=outcome, **values)
    return 0


def _run(folder: Path, reporter: Reporter) -> tuple[str, dict[str, Any]]:
    try:
        spec = Spec.read(folder)
        stop = Stop(folder, spec.watch_pid)
        return "done", _train(folder, spec, reporter, stop)
    except Stopped as stopped:
        return stopped.why, {}
    except TrainerError as error:
        return "failed", {"code": error.code, "values": error.values}
    except MemoryError:
        return "failed", {"code": "no_memory_left", "values": {}}
    except ModuleNotFoundError as error:
        return "failed", {"code": "no_package", "values": {"package": error.name}}
    except Exception as error:  # whatever torch says, the person must hear of the end
        import traceback

        traceback.print_exc()
        return "failed", _plain(error)


def _plain(error: Exception) -> dict[str, Any]:
    text = str(error).split("\n")[0][:200]
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    # torch's writer tells of a full disk in its own words
    if full or "PytorchStreamWriter failed" in text or "No space left" in text:
        return {"code": "disk_full", "values": {}}
    if "out of memory" in text.lower():
        return {"code": "no_memory_left", "values": {}}
    return {"code": "other", "values": {"detail": f"{type(error).__name__}: {text}"}}


def _train(folder: Path, spec: Spec, reporter: Reporter, stop: Stop) -> dict[str, Any]:
    from . import trainer_data, trainer_model
    from .trainer_loop import Loop

    began = time.monotonic()
    reporter.tell("stage", stage="loading")
    _quiet()
    trainer_model.prepare(spec)
    trainer_model.check_base(spec)
    tokenizer = trainer_model.load_tokenizer(spec.base)
    most, pairs = int(spec.options["max_tokens"]), spec.method == "dpo"
    parts = []
    for name in ("train", "held_out"):
        rows = trainer_data.read(folder / f"{name}.jsonl", with_rejected=pairs)
        items, too_long = trainer_data.encode(tokenizer, rows, most)
        if too_long:
            reporter.tell("note", code="too_long", values={"part": name, "examples": too_long, "tokens": most})
        parts.append(items)
    train, held_out = parts
    if not train:
        raise TrainerError("nothing_left", tokens=most)
    stop.check()
    trainer_model.check_memory(spec.base, max(item.tokens for item in [*train, *held_out]))
    model = trainer_model.load(spec)
    _check_disk(folder, model)
    stop.check()
    loop = Loop(folder=folder, spec=spec, model=model, train=train, held_out=held_out, reporter=reporter)
    reporter.tell("stage", stage="training", total=loop.total)
    progress = loop.run(stop)
    reporter.tell("stage", stage="saving")
    result = {
        "before": progress.before,
        "after": progress.best,
        "best_step": progress.best_step,
        "steps": progress.step,
        "seconds": round(time.monotonic() - began, 1),
        "examples": len(train),
        "held_out": len(held_out),
        "versions": {**trainer_model.versions(), "threads": spec.threads},
    }
    return {**result, "converted": _write(folder, spec, model, tokenizer, result)}


def _write(folder: Path, spec: Spec, model: Any, tokenizer: Any, result: dict[str, Any]) -> bool:
    """The result folder, which appears when all of it is there; False when llama.cpp cannot load such an adapter.

    What has no GGUF file is merged with the adapter too: then transformers can serve it.
    """
    from . import gguf_adapter, trainer_model

    fresh = folder / "result.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(folder / "result", ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = spec.base
    converted, written = True, False
    try:
        model.save_pretrained(fresh)
        weights = {
            name: value.detach().float().cpu().numpy() for name, value in model.named_parameters() if "lora_" in name
        }
        try:
            gguf_adapter.write(
                weights=weights,
                alpha=float(spec.options["alpha"]),
                config=model.config.to_dict(),
                path=fresh / "adapter.gguf",
            )
        except gguf_adapter.NotConvertible:
            converted = False
        if not trainer_model.is_gguf(spec.base):
            model.merge_and_unload().save_pretrained(fresh / "merged")
            tokenizer.save_pretrained(fresh / "merged")
        (fresh / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
        fresh.rename(folder / "result")
        written = True
    finally:
        if not written:
            shutil.rmtree(fresh, ignore_errors=True)
    return converted


def _check_disk(folder: Path, model: Any) -> None:
    """Two checkpoints of weights, best weights and the optimiser's two moments, one being written, and the result."""
    from . import trainer_model

    adapter = sum(value.numel() * 4 for value in trainer_model.trained(model).values())
    needed, free = DISK_BYTES + adapter * (3 * 4 + 2), shutil.disk_usage(folder).free
    if free < needed:
        raise TrainerError("no_disk", needed=round(needed / 1e6), free=round(free / 1e6))


def _be_modest(threads: int) -> None:
    """Before torch is imported: it reads these once."""
    with suppress(OSError):
        os.nice(NICE - os.nice(0))
    os.environ.update(
        OMP_NUM_THREADS=str(max(1, threads)),
        GOMP_SPINCOUNT=SPIN_COUNT,
        TOKENIZERS_PARALLELISM="false",
        CUBLAS_WORKSPACE_CONFIG=":4096:8",  # so that a GPU computes the same each time
        HF_HUB_OFFLINE="1",
    )


def _quiet() -> None:
    import warnings

    import transformers

    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


@contextmanager
def _alone(folder: Path, inherited: int | None) -> Iterator[bool]:
    """Holds the machine's one place for a trainer; False when somebody else has it.

    Who started us may hold it already and hand it on as an open file.
    """
    if inherited is not None:
        yield True
        return
    with (folder.parent / "trainer.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.seek(0)
        lock.truncate()
        lock.write(folder.name)
        lock.flush()
        yield True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
