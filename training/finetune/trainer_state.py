"""Checkpoints: everything that the next step depends on, so that a resumed job gives the same adapter.

A checkpoint is a folder that gets its name when all of it is written; the newest two are kept.
"""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KEPT = 2


@dataclass(slots=True)
class Progress:
    """What the loop knows beside tensors. `best` is the lowest held-out loss, reached at `best_step`."""

    step: int = 0
    before: float | None = None
    best: float | None = None
    best_step: int = 0
    worse: int = 0
    seconds: float = 0.0


def save(folder: Path, progress: Progress, weights: dict[str, Any], best: dict[str, Any], optimizer: Any) -> None:
    """Raises OSError (disk full); then nothing but the unfinished folder is left, and that is removed."""
    import torch

    home = folder / "checkpoints"
    home.mkdir(exist_ok=True)
    fresh, name = home / "unfinished", home / f"step-{progress.step:06d}"
    shutil.rmtree(fresh, ignore_errors=True)
    state = {
        "progress": asdict(progress),
        "weights": weights,
        "best": best,
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    try:
        fresh.mkdir()
        with (fresh / "state.pt").open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(name, ignore_errors=True)
        fresh.rename(name)
    except (OSError, RuntimeError):
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint that can be read."""
    import torch

    for path in reversed(_all(folder)):
        try:
            found: dict[str, Any] = torch.load(path / "state.pt", weights_only=True)
            return found
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            continue  # the one before it will do
    return None


def restore(state: dict[str, Any], parameters: dict[str, Any], optimizer: Any) -> Progress:
    import torch

    put(parameters, state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if state["cuda_random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_random"])
    return Progress(**state["progress"])


def copy(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value.detach().cpu().clone() for name, value in parameters.items()}


def put(parameters: dict[str, Any], weights: dict[str, Any]) -> None:
    import torch

    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(weights[name])


def _all(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("step-*"))
