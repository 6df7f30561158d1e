"""Ollama, through langchain-ollama."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from llm.errors import LanguageModelError, ModelUnavailable
from llm.loops import PerLoop
from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage

from .faults import CONNECT_SECONDS, broken, from_status, unreachable
from .messages import langchain_messages
from .places import ollama_place

if TYPE_CHECKING:
    from langchain_ollama import ChatOllama

# Said with every call: Ollama's own default is small and cuts the prompt without a word (ollama 6026).
CONTEXT_TOKENS = 8192
KEEP_ALIVE = "30m"


def ollama_model(model_id: ModelId) -> OllamaModel:
    """The model at OLLAMA_BASE_URL. Takes a second the first time, for the libraries."""
    importlib.import_module("langchain_ollama")
    return OllamaModel(model_id, url=settings.OLLAMA_BASE_URL)


class OllamaModel:
    context_tokens = CONTEXT_TOKENS

    def __init__(self, model_id: ModelId, *, url: str) -> None:
        self.id = model_id
        self.place = ollama_place(model_id.name, url)
        self._url = url.rstrip("/")
        self._chats = PerLoop(self._make, _close)

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        begun = False
        finished: Finished | None = None
        try:
            # `_astream` is `astream` without callback manager and tracer.
            async with aclosing(self._chunks(request, request.max_tokens)) as chunks:
                async for chunk in chunks:
                    if chunk.message.content:
                        begun = True
                        yield Token(str(chunk.message.content))
                    if chunk.generation_info and chunk.generation_info.get("done"):
                        finished = _finished(chunk.generation_info)
        except Exception as error:
            raise self._translated(error, begun=begun) from error
        if finished is None:
            raise broken(self.id)
        yield finished

    async def warm(self, request: ChatRequest) -> None:
        """Load the model and let it read the prompt; Ollama keeps both. Raises errors of llm/errors.py."""
        try:
            async with aclosing(self._chunks(request, 1)) as chunks:
                async for _chunk in chunks:
                    pass
        except Exception as error:
            raise self._translated(error, begun=False) from error

    async def check(self) -> Health:
        try:
            async with httpx.AsyncClient(timeout=CONNECT_SECONDS, trust_env=self.place is Place.CLOUD) as client:
                answer = await client.post(f"{self._url}/api/show", json={"model": self.id.name})
        except httpx.HTTPError:
            return Health(False, str(unreachable(self.id, self._url)))
        if answer.status_code != 200:
            return Health(False, str(self._refused(answer.status_code, answer.text)))
        return Health(True)

    async def aclose(self) -> None:
        await self._chats.close()

    def _chunks(self, request: ChatRequest, max_tokens: int) -> Any:
        options = {"num_ctx": CONTEXT_TOKENS, "num_predict": max_tokens, "temperature": request.temperature}
        form: dict[str, Any] = {"format": dict(request.schema)} if request.schema else {}
        return self._chats.get()._astream(langchain_messages(request), options=options, **form)

    def _make(self) -> ChatOllama:
        from langchain_ollama import ChatOllama

        return ChatOllama(
            model=self.id.name,
            base_url=self._url,
            keep_alive=KEEP_ALIVE,
            client_kwargs={
                # The switcher watches the stream; a cold model is loaded before the first byte.
                "timeout": httpx.Timeout(None, connect=CONNECT_SECONDS),
                "trust_env": self.place is Place.CLOUD,
            },
        )

    def _refused(self, status: int, text: str) -> LanguageModelError:
        if status == 404:
            return ModelUnavailable(
                _("%(model)s is not installed; fetch it with `ollama pull %(name)s`.")
                % {"model": self.id, "name": self.id.name}
            )
        return from_status(self.id, status, text)

    def _translated(self, error: Exception, *, begun: bool) -> LanguageModelError:
        import ollama

        if isinstance(error, ollama.ResponseError):
            # An error inside the stream has no status.
            return self._refused(error.status_code if error.status_code >= 400 else 500, error.error)
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | ConnectionError) and not begun:
            return unreachable(self.id, self._url)
        return broken(self.id, error)


async def _close(chat: ChatOllama) -> None:
    if chat._async_client is not None:
        await chat._async_client.close()  # type: ignore[no-untyped-call]


def _finished(info: Mapping[str, Any]) -> Finished:
    """From the last line of an answer; Ollama counts only fresh prompt tokens and durations in nanoseconds."""
    reason: Literal["stop", "length"] = "length" if info.get("done_reason") == "length" else "stop"
    usage = Usage(
        prompt_tokens=info.get("prompt_eval_count"),
        completion_tokens=info.get("eval_count"),
        prompt_tokens_per_second=_speed(info.get("prompt_eval_count"), info.get("prompt_eval_duration")),
        completion_tokens_per_second=_speed(info.get("eval_count"), info.get("eval_duration")),
    )
    return Finished(usage, reason)


def _speed(tokens: int | None, nanoseconds: int | None) -> float | None:
    return tokens / nanoseconds * 1e9 if tokens and nanoseconds else None
