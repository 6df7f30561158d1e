"""The embedded llama.cpp server (llm/llamacpp_server.py), by its own HTTP protocol; `lora/NAME` is an adapter's.

A conversation's prompt stays cached without our help: the server picks the slot whose content shares the
longest prefix, and keeps what a slot held before in memory (`cache_ram`). Naming a slot (`id_slot`) was
measured to be worse: a new conversation then cannot reuse the system text another slot has read
(docs/adr, prompt economy).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
from django.utils.translation import gettext as _

from llm.catalogue import find
from llm.embedded import DEFAULT_CONTEXT, EmbeddedServer, adapter_name, served_by
from llm.errors import LanguageModelError, ModelUnavailable
from llm.loops import PerLoop
from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage

from .faults import CONNECT_SECONDS, broken, from_status, unreachable
from .json_format import response_format
from .patience import reading_seconds
from .sse import Chunk, chat_chunks

REPEAT_PENALTY = 1.1  # without it the 1.5 B model repeats whole sentences in Swedish


class LlamaCppModel:
    place = Place.LOCAL
    repeat_penalty = REPEAT_PENALTY

    def __init__(self, model_id: ModelId) -> None:
        self.id = model_id
        self._clients = PerLoop(_client, httpx.AsyncClient.aclose)

    @property
    def context_tokens(self) -> int:
        server = served_by(self.id)
        return server.context_tokens if server else DEFAULT_CONTEXT

    def first_token_seconds(self, request: ChatRequest) -> float:
        return reading_seconds(self.id, request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[AdapterEvent]:
        server = self._server()
        try:
            async with self._clients.get().stream(
                "POST", f"{server.url}/v1/chat/completions", json=_body(request), headers=_headers(server)
            ) as response:
                if response.status_code != 200:
                    text = (await response.aread()).decode(errors="replace")
                    raise from_status(self.id, response.status_code, text, response.headers)
                async for event in _events(self.id, response):
                    yield event
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise unreachable(self.id, server.url) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise broken(self.id, error) from error

    async def warm(self, request: ChatRequest) -> None:
        """Read the prompt into the server's cache, with one token that nobody sees. Raises errors of llm/errors.py."""
        async with aclosing(self.stream(replace(request, max_tokens=1))) as events:
            async for _event in events:
                pass

    async def check(self) -> Health:
        try:
            server = self._server()
            answer = await self._clients.get().get(f"{server.url}/health", timeout=CONNECT_SECONDS)
            if answer.status_code != 200:
                raise from_status(self.id, answer.status_code, answer.text, answer.headers)
        except httpx.HTTPError:
            return Health(False, str(unreachable(self.id, server.url)))
        except LanguageModelError as error:
            return Health(False, str(error))
        return Health(True)

    async def aclose(self) -> None:
        await self._clients.close()

    def _server(self) -> EmbeddedServer:
        server = served_by(self.id)
        if adapter := adapter_name(self.id):
            if server is None:
                raise ModelUnavailable(
                    _("The adapter %(name)s is not loaded; load it among the tuned models.") % {"name": adapter}
                )
            return server
        if server is None:
            raise ModelUnavailable(_("The embedded model server is not running; start it with `manage.py up`."))
        if self.id.name and not _same_model(self.id.name, server.model):
            raise ModelUnavailable(
                _("The embedded model server runs %(loaded)s, not %(model)s; name it in COACH_MODELS and restart.")
                % {"loaded": Path(server.model).name, "model": self.id.name}
            )
        return server


def _client() -> httpx.AsyncClient:
    # No read time-out here: the switcher watches the stream. No proxy either: the server is on loopback.
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
        trust_env=False,
    )


def _headers(server: EmbeddedServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.key}"} if server.key else {}


def _body(request: ChatRequest) -> dict[str, Any]:
    form = {"response_format": response_format(request.schema)} if request.schema else {}
    return {
        **form,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "cache_prompt": True,
        "repeat_penalty": REPEAT_PENALTY,
        "stream": True,
        "stream_options": {"include_usage": True},
        # Without it the server notices that nobody listens any more only after the whole prompt is read.
        "return_progress": True,
    }


def _same_model(name: str, loaded: str) -> bool:
    """`name` is a catalogue name or a path; `loaded` what `up` calls the server's model: a name, a stem or a path."""
    entry = find(name)
    file = entry.file if entry else Path(name).name
    return loaded in {name, file, Path(file).stem} or Path(loaded).name == file


async def _events(model: ModelId, response: httpx.Response) -> AsyncIterator[AdapterEvent]:
    """The last chunk comes with usage and timings, after the one with the reason of the end."""
    reason: Literal["stop", "length", "unknown"] = "unknown"
    last: Chunk | None = None
    try:
        async for chunk in chat_chunks(response.aiter_bytes()):
            if "error" in chunk:
                raise _failure(model, chunk)
            choice = chunk["choices"][0] if chunk["choices"] else None
            if choice and (text := choice["delta"].get("content")):
                yield Token(text)
            if choice and choice.get("finish_reason"):
                reason = "length" if choice["finish_reason"] == "length" else "stop"
            if "usage" in chunk or "timings" in chunk:
                last = chunk
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise broken(model, _("It was not in the expected form.")) from error
    if last is None:
        raise broken(model)
    yield Finished(_usage(last), reason)


def _failure(model: ModelId, chunk: Chunk) -> LanguageModelError:
    """An error the server reports inside a stream that began with 200."""
    error = chunk["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return from_status(model, code if isinstance(code, int) and code >= 400 else 500, json.dumps(chunk))


def _usage(chunk: Chunk) -> Usage:
    usage, timings = chunk.get("usage") or {}, chunk.get("timings") or {}
    return Usage(
        prompt_tokens=usage.get("prompt_tokens"),
        cached_prompt_tokens=timings.get("cache_n"),
        completion_tokens=usage.get("completion_tokens"),
        prompt_tokens_per_second=timings.get("prompt_per_second"),
        completion_tokens_per_second=timings.get("predicted_per_second"),
    )
