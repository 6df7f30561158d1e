"""The approved examples of a frozen set as files and lines."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from ..exports.openai_rules import not_learned
from ..models import DataSet, Example
from .errors import Changed, NotOpen

PARTS = {"train": Example.Split.TRAIN, "held_out": Example.Split.HELD_OUT}


def lines(dataset: DataSet, split: str) -> Iterator[dict[str, Any]]:
    """{"messages": […]} for each example, its prompt and answer; of a set of preferences {"prompt", "chosen",
    "rejected"} as in exports. In a fixed order."""
    rows = dataset.examples.filter(split=PARTS[split], state=Example.State.APPROVED).order_by("pk")
    for example in rows.only("prompt", "answer", "rejected").iterator(chunk_size=500):
        answer = {"role": "assistant", "content": example.answer}
        if dataset.kind == DataSet.Kind.PREFERENCES:
            rejected = {"role": "assistant", "content": example.rejected}
            yield {"prompt": example.prompt, "chosen": [answer], "rejected": [rejected]}
        else:
            yield {"messages": [*not_learned(example.prompt), answer]}


def part_sha256(dataset: DataSet, split: str) -> tuple[str, int]:
    """Of the file that `write_openai` makes, and how many lines it has."""
    digest, n = hashlib.sha256(), 0
    for line in lines(dataset, split):
        digest.update(_bytes(line))
        n += 1
    return digest.hexdigest(), n


def write_openai(dataset: DataSet, folder: Path) -> dict[str, Path]:
    """{"train": path, "held_out": path}: JSON lines, byte for byte what was frozen.

    Raises NotOpen for a set that is not frozen, Changed when its rows are not what was frozen, OSError.
    """
    if dataset.state != DataSet.State.FROZEN:
        raise NotOpen
    folder.mkdir(parents=True, exist_ok=True)
    paths = {split: folder / f"{split}.jsonl" for split in PARTS}
    for split, path in paths.items():
        fresh, digest = path.with_suffix(".part"), hashlib.sha256()
        try:
            with fresh.open("wb") as file:
                for line in lines(dataset, split):
                    data = _bytes(line)
                    digest.update(data)
                    file.write(data)
            expected = dataset.manifest.get("files", {}).get(f"{split}.jsonl", {}).get("sha256")
            if expected and expected != digest.hexdigest():
                raise Changed
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    return paths


def _bytes(line: dict[str, Any]) -> bytes:
    return orjson.dumps(line) + b"\n"
