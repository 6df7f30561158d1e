"""REST for data sets: staff with the permission of the panel. Shapes are in docs/protocol.md."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from django.http import FileResponse, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from coach.errors import NotFound

from .datasets import files, services
from .exports.errors import Forbidden
from .models import DataSet, Example
from .wake import build_soon

router = Router(tags=["training"])
MOST_LISTED, MOST_EXAMPLES = 200, 100


class DataSetIn(Schema):
    """filter: keys of training/filters.py; held_out: share of the examples, 0 to 0.5."""

    name: str = Field(min_length=1, max_length=120)
    kind: Literal["answers", "preferences"] = "answers"
    filter: dict[str, Any] = {}
    held_out: float = Field(0.2, ge=0, le=0.5)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class DataSetOut(Schema):
    id: int
    name: str
    kind: str
    state: str
    progress: float
    done: int
    total: int
    synthetic: bool
    stale: datetime | None
    filter: dict[str, Any]
    held_out: float
    seed: int
    counts: dict[str, Any]
    examples: dict[str, dict[str, int]]
    sha256: str
    error: str
    created: datetime
    frozen: datetime | None


class ExampleOut(Schema):
    id: int
    split: str
    state: str
    language: str
    prompt: list[dict[str, str]]
    answer: str
    rejected: str
    replaced: dict[str, int]


class DecisionIn(Schema):
    """examples None: all that are proposed."""

    state: Literal["proposed", "approved", "rejected"] = "approved"
    examples: list[int] | None = None


class TextsIn(Schema):
    question: str | None = Field(None, max_length=100_000)
    answer: str | None = Field(None, max_length=100_000)
    rejected: str | None = Field(None, max_length=100_000)


def _allowed(request: HttpRequest, act: str) -> Any:
    """The user. Raises Forbidden for those who are not staff or lack the permission."""
    user: Any = request.user
    if not user.is_active or not user.is_staff or not user.has_perm(f"training.{act}_dataset"):
        raise Forbidden
    return user


def _number(text: str) -> int:
    """Of an address; who may not see it is told so before (ninja would refuse a word with 422). Raises NotFound."""
    if not text.isdecimal() or len(text) > 18:
        raise NotFound
    return int(text)


def _dataset(text: str) -> DataSet:
    """Raises NotFound."""
    return services.get(_number(text))


@router.get("/datasets", response=list[DataSetOut])
def list_datasets(request: HttpRequest) -> Any:
    """The newest first."""
    _allowed(request, "view")
    return [services.data(dataset) for dataset in DataSet.objects.all()[:MOST_LISTED]]


@router.post("/datasets", response={201: DataSetOut})
def create_dataset(request: HttpRequest, data: DataSetIn) -> Any:
    """A worker builds it; ask for its state."""
    user = _allowed(request, "add")
    dataset = services.create(
        name=data.name, kind=data.kind, given=data.filter, held_out=data.held_out, seed=data.seed, by=user
    )
    build_soon(dataset.pk)
    return 201, services.data(dataset)


@router.get("/datasets/{dataset_id}", response=DataSetOut)
def get_dataset(request: HttpRequest, dataset_id: str) -> Any:
    _allowed(request, "view")
    return services.data(_dataset(dataset_id))


@router.delete("/datasets/{dataset_id}", response={204: None})
def delete_dataset(request: HttpRequest, dataset_id: str) -> Any:
    _allowed(request, "delete")
    services.delete(dataset_id=_dataset(dataset_id).pk)
    return 204, None


@router.post("/datasets/{dataset_id}/cancel", response=DataSetOut)
def cancel_dataset(request: HttpRequest, dataset_id: str) -> Any:
    _allowed(request, "change")
    return services.data(services.cancel(dataset_id=_dataset(dataset_id).pk))


@router.get("/datasets/{dataset_id}/examples", response=list[ExampleOut])
def list_examples(request: HttpRequest, dataset_id: str, after: int = 0, state: str = "", split: str = "") -> Any:
    """A hundred, with ids above `after`."""
    _allowed(request, "view")
    rows = _dataset(dataset_id).examples.filter(pk__gt=after).order_by("pk")
    rows = rows.filter(state=state) if state else rows
    return [_example(example) for example in (rows.filter(split=split) if split else rows)[:MOST_EXAMPLES]]


@router.post("/datasets/{dataset_id}/decisions", response=dict[str, int])
def decide(request: HttpRequest, dataset_id: str, data: DecisionIn) -> Any:
    """`{"changed": n}`"""
    user = _allowed(request, "change")
    dataset = _dataset(dataset_id)
    return {"changed": services.decide(dataset=dataset, state=data.state, by=user, examples=data.examples)}


@router.put("/datasets/{dataset_id}/examples/{example_id}", response=ExampleOut)
def edit_example(request: HttpRequest, dataset_id: str, example_id: str, data: TextsIn) -> Any:
    """Other texts, by hand; the example is proposed again."""
    user = _allowed(request, "change")
    example = services.example(dataset=_dataset(dataset_id), example_id=_number(example_id))
    return _example(services.edit(example=example, by=user, **data.dict()))


@router.post("/datasets/{dataset_id}/freeze", response=DataSetOut)
def freeze(request: HttpRequest, dataset_id: str) -> Any:
    user = _allowed(request, "change")
    return services.data(services.freeze(dataset=_dataset(dataset_id), by=user))


@router.get("/datasets/{dataset_id}/manifest", response=dict[str, Any])
def get_manifest(request: HttpRequest, dataset_id: str) -> Any:
    """Of a frozen set: ids, filter, counts in and out with reasons, SHA-256 of its files; else {}."""
    _allowed(request, "view")
    return _dataset(dataset_id).manifest


@router.get("/datasets/{dataset_id}/files/{split}.jsonl")
def get_file(request: HttpRequest, dataset_id: str, split: str) -> FileResponse:
    """Of a frozen set, byte for byte what its manifest names."""
    _allowed(request, "add")
    dataset = _dataset(dataset_id)
    if split not in files.PARTS:
        raise NotFound
    with TemporaryDirectory() as folder:
        path = files.write_openai(dataset, Path(folder))[split]
        return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)  # it stays open when it is gone


def _example(example: Example) -> dict[str, Any]:
    names = ("split", "state", "language", "prompt", "answer", "rejected", "replaced")
    return {"id": example.pk, **{name: getattr(example, name) for name in names}}
