"""REST for exports: staff with the permission of the panel. Shapes are in docs/protocol.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from .exports import services
from .exports.errors import Forbidden
from .models import Export
from .wake import export_soon

router = Router(tags=["training"])
MOST_LISTED = 200


class ExportIn(Schema):
    """filter: keys of training/filters.py; absent ones are those of the kind."""

    kind: str = Field(max_length=20)
    filter: dict[str, Any] = {}


class ExportOut(Schema):
    id: UUID
    kind: str
    state: str
    progress: float
    done: int
    total: int
    rows: int
    bytes: int
    filter: dict[str, Any]
    manifest: dict[str, Any]
    stale: datetime | None
    error: str
    created: datetime
    finished: datetime | None


def _allowed(request: HttpRequest, act: str) -> Any:
    """The user. Raises Forbidden for those who are not staff or lack the permission."""
    user: Any = request.user
    if not user.is_active or not user.is_staff or not user.has_perm(f"training.{act}_export"):
        raise Forbidden
    return user


@router.get("/exports", response=list[ExportOut])
def list_exports(request: HttpRequest) -> Any:
    """The newest first."""
    _allowed(request, "view")
    return [services.data(export) for export in Export.objects.all()[:MOST_LISTED]]


@router.post("/exports", response={201: ExportOut})
def create_export(request: HttpRequest, data: ExportIn) -> Any:
    """A worker makes the file; ask for its state."""
    user = _allowed(request, "add")
    export = services.ask(kind=data.kind, given=data.filter, by=user)
    export_soon(export.pk)
    return 201, services.data(export)


@router.get("/exports/{export_id}", response=ExportOut)
def get_export(request: HttpRequest, export_id: UUID) -> Any:
    _allowed(request, "view")
    return services.data(services.get(export_id))


@router.get("/exports/{export_id}/file")
def get_file(request: HttpRequest, export_id: UUID) -> FileResponse:
    """What people said leaves the machine here: only for those who may make exports."""
    _allowed(request, "add")
    path = services.file_of(services.get(export_id))
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)


@router.get("/exports/{export_id}/manifest")
def get_manifest(request: HttpRequest, export_id: UUID) -> FileResponse:
    """With the ids of all turns in the file."""
    _allowed(request, "add")
    path = services.manifest_of(services.get(export_id))
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)


@router.post("/exports/{export_id}/cancel", response=ExportOut)
def cancel_export(request: HttpRequest, export_id: UUID) -> Any:
    _allowed(request, "change")
    services.get(export_id)
    return services.data(services.cancel(export_id=export_id))


@router.delete("/exports/{export_id}", response={204: None})
def delete_export(request: HttpRequest, export_id: UUID) -> Any:
    _allowed(request, "delete")
    services.delete(export_id=export_id)
    return 204, None
