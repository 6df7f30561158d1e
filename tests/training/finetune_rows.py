"""Frozen data sets for tests of fine-tunes."""

from __future__ import annotations

from typing import Any

from training.finetune import jobs
from training.finetune.options import options_of
from training.models import DataSet, Example, FineTune


def frozen_set(
    *, train: int = 12, held_out: int = 3, kind: str = "answers", name: str = "Autumn", **values: Any
) -> DataSet:
    """A frozen set of approved examples; made up unless told otherwise, so nobody's consent stands in the way."""
    values = {"synthetic": True, **values}
    dataset = DataSet.objects.create(name=name, kind=kind, state=DataSet.State.FROZEN, sha256="a" * 64, **values)
    splits = ["train"] * train + ["held_out"] * held_out
    Example.objects.bulk_create(
        Example(
            dataset=dataset,
            split=split,
            state=Example.State.APPROVED,
            language="en",
            prompt=[
                {"role": "system", "content": "You are a coach."},
                {"role": "user", "content": f"How do I begin with habit {number}?"},
            ],
            answer=f"Take one small step with habit {number}. What would make it easy?",
            rejected="Just do it." if kind == "preferences" else "",
        )
        for number, split in enumerate(splits)
    )
    return dataset


def waiting_job(
    where: str = "local", *, dataset: DataSet | None = None, name: str = "autumn", **values: Any
) -> FineTune:
    base = values.pop("base", "smollm2-135m" if where == "local" else "gpt-4o-mini-2024-07-18")
    options = options_of(where, values.pop("options", {}))
    return jobs.create(where=where, dataset=dataset or frozen_set(), base=base, name=name, options=options, **values)
