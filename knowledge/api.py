"""REST for knowledge: staff only. Paths and shapes are in docs/protocol.md."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from ninja import File, Form, Router, Schema, UploadedFile
from pydantic import Field

from . import search_channel, selectors, services, web
from .api_access import staff as _staff
from .errors import NoFile
from .models import KnowledgeBase
from .wake import wake_worker

router = Router(tags=["knowledge"])
MOST_RESULTS = 50


class BaseIn(Schema):
    name: str = Field(min_length=1, max_length=200)
    slug: str = Field("", max_length=60)
    description: str = Field("", max_length=2000)


class BaseOut(Schema):
    slug: str
    name: str
    description: str
    documents: int
    ready: int


class DocumentOut(Schema):
    id: UUID
    title: str
    filename: str
    language: str
    bytes: int
    state: str
    progress: float
    chunks: int
    chunks_done: int
    replaces: UUID | None
    error: str
    error_code: str


class ProgressOut(Schema):
    documents_waiting: int
    chunks_left: int
    chunks_per_second: float | None
    seconds_left: int | None


class UrlIn(Schema):
    url: str = Field(min_length=1, max_length=2000)
    language: str = Field("", max_length=5)


class SearchIn(Schema):
    query: str = Field(min_length=1, max_length=4000)
    k: int = Field(5, ge=1, le=MOST_RESULTS)
    language: str = Field("", max_length=5)


def _base(base: KnowledgeBase) -> dict[str, Any]:
    return {
        "slug": base.slug,
        "name": base.name,
        "description": base.description,
        "documents": getattr(base, "documents_total", 0),
        "ready": getattr(base, "documents_ready", 0),
    }


@router.get("/knowledge-bases", response=list[BaseOut])
def list_bases(request: HttpRequest) -> Any:
    _staff(request)
    return [_base(base) for base in selectors.bases()]


@router.post("/knowledge-bases", response={201: BaseOut})
def create_base(request: HttpRequest, data: BaseIn) -> Any:
    _staff(request)
    return 201, _base(services.create_base(name=data.name, slug=data.slug, description=data.description))


def _from_web(request: HttpRequest) -> tuple[list[tuple[str, Any]], str, str]:
    """The document as a file, its language and its address. Raises NoFile when the body names no address."""
    try:
        data = UrlIn.model_validate_json(request.body)
    except ValueError:
        raise NoFile from None
    found = web.fetch(data.url)
    return [(found.filename, io.BytesIO(found.content))], data.language, data.url


@router.post("/knowledge-bases/{slug}/documents", response={201: list[DocumentOut]})
def add_documents(
    request: HttpRequest,
    slug: str,
    file: File[list[UploadedFile] | None] = None,
    language: Form[str] = "",
) -> Any:
    """Several files in one request, all or none: when one is refused at the door, nothing of the request stays.

    Or JSON, `{"url": "https://…", "language": ""}`: one document of the web, where the admin allows it.
    """
    user = _staff(request)
    base = selectors.base_by_slug(slug)
    if request.content_type == "application/json":
        files, language, url = _from_web(request)
    else:
        files, url = [(upload.name or "", upload) for upload in file or ()], ""
    if not files:
        raise NoFile
    added = services.add_documents(base=base, files=files, uploaded_by=user, language=language, url=url)
    wake_worker()
    return 201, [selectors.document_data(document) for document in added]


@router.get("/knowledge-bases/{slug}/progress", response=ProgressOut)
def get_progress(request: HttpRequest, slug: str) -> Any:
    """What waits to be indexed, and how long it will take."""
    _staff(request)
    return selectors.indexing_progress(selectors.base_by_slug(slug))


@router.get("/documents/{document_id}", response=DocumentOut)
def get_document(request: HttpRequest, document_id: UUID) -> Any:
    _staff(request)
    return selectors.document_data(selectors.document(document_id))


@router.delete("/documents/{document_id}", response={204: None})
def delete_document(request: HttpRequest, document_id: UUID) -> Any:
    _staff(request)
    services.delete_document(document_id=selectors.document(document_id).pk)
    return 204, None


@router.post("/documents/{document_id}/cancel", response=DocumentOut)
def cancel_document(request: HttpRequest, document_id: UUID) -> Any:
    _staff(request)
    services.cancel(document_id=selectors.document(document_id).pk)
    return selectors.document_data(selectors.document(document_id))


@router.post("/documents/{document_id}/retry", response=DocumentOut)
def retry_document(request: HttpRequest, document_id: UUID) -> Any:
    _staff(request)
    services.retry(document_id=selectors.document(document_id).pk)
    wake_worker()
    return selectors.document_data(selectors.document(document_id))


@router.post("/knowledge-bases/{slug}/search", response=dict[str, Any])
async def search(request: HttpRequest, slug: str, data: SearchIn) -> Any:
    """Passages with the scores of each stage; `covered` false: nothing close enough to cite."""
    await sync_to_async(_staff)(request)
    base = await sync_to_async(selectors.base_by_slug)(slug)
    found = await search_channel.ask(data.query, bases=[base.pk], k=data.k, language=data.language)
    return {
        "covered": found.covered,
        "degraded": found.degraded,
        "timings": dict(found.timings),
        "passages": [
            {
                "chunk": passage.chunk,
                "document": passage.document,
                "title": passage.title,
                "location": passage.location,
                "text": passage.text,
                "score": passage.score,
                "scores": dict(passage.scores),
            }
            for passage in found.passages
        ],
    }
