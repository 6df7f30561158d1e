"""How a job asks a language model for JSON: only models on this machine unless an admin allowed a cloud, and with
signs of life meanwhile, so that a person who cancels waits a second or two and not for the end of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.utils.translation import gettext_noop

from llm import policy
from llm.errors import LanguageModelError, ModelBusy, NoModelLeft, RateLimited, StructuredOutputFailed
from llm.loops import close_clients
from llm.registry import language_model
from llm.structured import ask_json
from llm.switcher import Limits
from llm.types import ChatRequest, ModelId, Place

from .jobs import JobFailed, Later, Slice

WATCH_SECONDS = 1.0
# Nobody waits before a screen: a machine that is busy with conversations may take its time.
PATIENT = Limits(first_token=60.0, stall=60.0)
NO_MODEL = gettext_noop("No language model on this machine can do this; install one under Local models.")
NO_ANSWER = gettext_noop("The language model did not answer; look at Watch the models and try again.")


def models(*, cloud: bool) -> list[ModelId]:
    """Those of the installation's order that may be asked; guided mode writes nothing of its own. May be empty."""
    return [model for model in policy.default_models() if model != policy.GUIDED and (cloud or _is_local(model))]


def ask(
    job: Slice, request: ChatRequest, schema: Mapping[str, Any], asked: Sequence[ModelId]
) -> tuple[dict[str, Any] | None, str]:
    """(the object, who was preferred to write it); None when no model gave the wanted form even after a repair.

    `request.private` must be True unless a cloud is allowed. Raises Later when all are busy or none answers, JobFailed
    when there is none, Cancelled when the job is over.
    """
    if not asked:
        raise JobFailed("no_model", NO_MODEL)
    try:
        return async_to_sync(_watched)(job, request, schema, asked), str(asked[0])
    except StructuredOutputFailed:
        return None, str(asked[0])
    except NoModelLeft as error:
        if isinstance(error.__cause__, ModelBusy | RateLimited):
            raise Later from error
        raise Later(JobFailed("no_model", NO_ANSWER)) from error


async def _watched(
    job: Slice, request: ChatRequest, schema: Mapping[str, Any], asked: Sequence[ModelId]
) -> dict[str, Any]:
    answer = asyncio.ensure_future(ask_json(request, schema, asked, PATIENT))
    try:
        while not (await asyncio.wait({answer}, timeout=WATCH_SECONDS))[0]:
            await sync_to_async(job.beat)()
        return answer.result()
    finally:
        answer.cancel()
        await asyncio.wait({answer})
        await close_clients()


def _is_local(model: ModelId) -> bool:
    try:
        return language_model(model).place is Place.LOCAL
    except LanguageModelError:
        return False
