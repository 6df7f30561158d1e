"""How long a fine-tune on this machine takes, roughly, before it starts.

The work of a step is tokens times parameters. Measured: SmolLM2-135M with a LoRA on q, k, v and o took 0.43 s for 69
tokens on 2 cores (FACTS of the project), so 4.6e-11 s for a token and a parameter; a GPU is taken to be 50 times
as fast as two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm.machine import this_machine
from llm.tokens import estimate_tokens
from training.models import DataSet, Example

from . import local_base
from .errors import BadBase, JobFailed
from .options import LocalOptions

SECONDS = 4.6e-11  # of one token and one parameter on MEASURED_CORES
MEASURED_CORES = 2
GPU_TIMES = 50
BYTES_A_PARAMETER = 0.72  # of the usual 4-bit GGUF files
START_SECONDS = 25.0  # loading the base, and the adapter at the end


def estimate(*, dataset: DataSet, base: str, options: LocalOptions) -> dict[str, Any]:
    """{"tokens", "seconds" or None}. Raises BadBase when the model is not here."""
    try:
        place = Path(local_base.resolve(base).place)
    except JobFailed as error:
        raise BadBase(error.sentence) from error
    tokens = _tokens(dataset, options.max_tokens)
    seconds = _computed(place, tokens * options.epochs)
    return {"tokens": tokens, "seconds": None if seconds is None else round(seconds + START_SECONDS)}


def _tokens(dataset: DataSet, most: int) -> int:
    """Of the training examples, each cut at `most`; both answers of a preference count."""
    rows = dataset.examples.filter(split=Example.Split.TRAIN, state=Example.State.APPROVED)
    total = 0
    for prompt, answer, rejected in rows.values_list("prompt", "answer", "rejected").iterator(chunk_size=500):
        shown = sum(estimate_tokens(str(message.get("content", ""))) for message in prompt)
        for text in (answer, rejected):
            total += min(most, shown + estimate_tokens(text)) if text else 0
    return total


def _computed(place: Path, tokens: int) -> float | None:
    if place.suffix.lower() != ".gguf" or not place.is_file():
        return None
    machine = this_machine()
    times = GPU_TIMES if machine.gpu_bytes else max(machine.cores, 1) / MEASURED_CORES
    return tokens * place.stat().st_size / BYTES_A_PARAMETER * SECONDS / times
