"""REST for index generations: staff only. Paths and shapes are in docs/protocol.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from . import generations, selectors
from .api_access import staff
from .models import IndexGeneration

router = Router(tags=["knowledge"])


class GenerationIn(Schema):
    """embedder: by default COACH_EMBEDDER's."""

    embedder: str = Field("", max_length=200)
    switch_when_ready: bool = True


class RecallOut(Schema):
    questions: int
    live: float
    new: float
    passed: bool
    why: str = ""


class GenerationOut(Schema):
    id: int
    base: str
    embedder: str
    dimensions: int
    splitter: str
    state: str
    switch_when_ready: bool
    progress: float
    chunks: int
    chunks_done: int
    chunks_per_second: float | None
    seconds_left: int | None
    recall: dict[str, RecallOut]
    passed: bool
    error: str
    error_code: str
    due: bool
    created: datetime
    live_since: datetime | None
    retired: datetime | None
    may: list[str]


def _generation(request: HttpRequest, slug: str, generation_id: str) -> IndexGeneration:
    staff(request)
    return selectors.generation(selectors.base_by_slug(slug), generation_id)


@router.get("/knowledge-bases/{slug}/generations", response=list[GenerationOut])
def list_generations(request: HttpRequest, slug: str) -> Any:
    """Newest first."""
    staff(request)
    found = selectors.generations_of(selectors.base_by_slug(slug))
    return [selectors.generation_data(generation) for generation in found]


@router.post("/knowledge-bases/{slug}/generations", response={201: GenerationOut})
def start_generation(request: HttpRequest, slug: str, data: GenerationIn) -> Any:
    """Builds another index beside the live one."""
    staff(request)
    made = generations.start(
        base=selectors.base_by_slug(slug), embedder=data.embedder, switch_when_ready=data.switch_when_ready
    )
    return 201, selectors.generation_data(made)


@router.get("/knowledge-bases/{slug}/generations/{generation_id}", response=GenerationOut)
def get_generation(request: HttpRequest, slug: str, generation_id: str) -> Any:
    return selectors.generation_data(_generation(request, slug, generation_id))


@router.post("/knowledge-bases/{slug}/generations/{generation_id}/switch", response=GenerationOut)
def switch_generation(request: HttpRequest, slug: str, generation_id: str, override: bool = False) -> Any:
    """It goes live now, or as soon as it is complete: `state` says which. `?override=true`: although it finds less."""
    found = _generation(request, slug, generation_id)
    return selectors.generation_data(generations.switch(generation=found, override=override))


@router.post("/knowledge-bases/{slug}/generations/{generation_id}/rollback", response=GenerationOut)
def roll_back_generation(request: HttpRequest, slug: str, generation_id: str) -> Any:
    """Makes the generation live that was live before this one, now or as soon as it is complete: `state` says which."""
    found = _generation(request, slug, generation_id)
    return selectors.generation_data(generations.roll_back(base=found.base))


@router.post("/knowledge-bases/{slug}/generations/{generation_id}/cancel", response=GenerationOut)
def cancel_generation(request: HttpRequest, slug: str, generation_id: str) -> Any:
    found = _generation(request, slug, generation_id)
    generations.cancel(generation=found)
    return selectors.generation_data(found)


@router.post("/knowledge-bases/{slug}/generations/{generation_id}/retry", response=GenerationOut)
def retry_generation(request: HttpRequest, slug: str, generation_id: str) -> Any:
    found = _generation(request, slug, generation_id)
    generations.retry(generation=found)
    return selectors.generation_data(found)


@router.delete("/knowledge-bases/{slug}/generations/{generation_id}", response={204: None})
def remove_generation(request: HttpRequest, slug: str, generation_id: str) -> Any:
    generations.remove(generation=_generation(request, slug, generation_id))
    return 204, None
