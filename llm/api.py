"""REST for local models: staff only. Paths and shapes are in docs/protocol.md."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import Field

from . import local_models, pulls
from .local_errors import Forbidden, TestFailed
from .wake import pull_soon

router = Router(tags=["models"])
TEST_SECONDS = 240.0
_testing = threading.Lock()  # a second model beside it would make both look slow, or take too much memory


class PullIn(Schema):
    model: str = Field(min_length=1, max_length=300)


class PullOut(Schema):
    id: UUID
    model: str
    state: str
    bytes_done: int
    bytes_total: int | None
    error_code: str
    error: str
    cancelling: bool


class TrialOut(Schema):
    model: str
    answer: str
    seconds: float
    first_token_seconds: float
    tokens: int
    tokens_per_second: float


def _staff(request: HttpRequest) -> None:
    """Raises Forbidden for anyone who is not staff."""
    user = request.user
    if not user.is_active or not user.is_staff:
        raise Forbidden


@router.get("/models", response=dict[str, Any])
def list_models(request: HttpRequest) -> Any:
    """What is installed, the catalogue with what fits this machine, and downloads, unfinished ones first."""
    _staff(request)
    return {**local_models.overview(), "pulls": [local_models.pull_data(row) for row in pulls.recent()]}


@router.post("/models/pulls", response={202: PullOut})
def start_pull(request: HttpRequest, data: PullIn) -> Any:
    _staff(request)
    row = pulls.ask(model=data.model)
    pull_soon(row.pk)
    return 202, local_models.pull_data(row)


@router.get("/models/pulls", response=list[PullOut])
def list_pulls(request: HttpRequest) -> Any:
    _staff(request)
    return [local_models.pull_data(row) for row in pulls.recent()]


@router.get("/models/pulls/{uuid:pull_id}", response=PullOut)
def get_pull(request: HttpRequest, pull_id: UUID) -> Any:
    _staff(request)
    return local_models.pull_data(pulls.get(pull_id))


@router.delete("/models/pulls/{uuid:pull_id}", response=PullOut)
def cancel_pull(request: HttpRequest, pull_id: UUID) -> Any:
    """What came is kept: the same model asked for again goes on from there."""
    _staff(request)
    return local_models.pull_data(pulls.cancel(pull_id=pull_id))


@router.post("/models/{path:name}/test", response=TrialOut)
async def test_model(request: HttpRequest, name: str) -> Any:
    """One short real answer, in a process of its own: the web process loads no model."""
    await sync_to_async(_staff)(request)
    await sync_to_async(local_models.file_of)(name)
    if not _testing.acquire(blocking=False):
        raise TestFailed(_("Another model is being tried out just now; wait for it."))
    try:
        return await _tested(name)
    finally:
        _testing.release()


@router.delete("/models/{path:name}", response={204: None})
def remove_model(request: HttpRequest, name: str) -> Any:
    _staff(request)
    local_models.remove(model=name)
    return 204, None


async def _tested(name: str) -> Any:
    command = [sys.executable, "manage.py", "models", "test", "--json", "--", name]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, cwd=settings.BASE_DIR, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(TEST_SECONDS):
            out, err = await child.communicate()
    except TimeoutError as error:
        raise TestFailed(_("%(model)s did not finish within two minutes.") % {"model": name}) from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        lines = err.decode(errors="replace").strip().splitlines()
        raise TestFailed(lines[-1].removeprefix("CommandError: ") if lines else str(child.returncode))
    return json.loads(out)
