"""OpenAI and servers that speak its chat protocol, through langchain-openai.

Some things are not LangChain's defaults, for speed (measured per streamed token on one core, 120-token answers):

    ChatOpenAI.astream as it comes                               0.44 ms
    ._astream: no callback manager, no tracer                    0.35 ms
    … and chunks stay the plain dicts the server sent            0.17 ms
    … and the SDK's own aiohttp transport, not its default       0.11 ms
    … and text of up to 25 ms in one chunk (sse.py)              0.03 ms
"""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.utils.translation import gettext as _

from llm import endpoints
from llm.errors import AuthenticationFailed, LanguageModelError, ModelUnavailable
from llm.loops import PerLoop
from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage

from .faults import CONNECT_SECONDS, broken, from_status, unreachable
from .json_format import response_format
from .messages import langchain_messages
from .places import OPENAI_URL, place_of
from .sse import Chunk, chat_chunks

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI
    from openai import AsyncOpenAI, AsyncStream

ASSUMED_CONTEXT = 32_768
# Models that think before they answer take no temperature but their own.
_FIXED_TEMPERATURE = re.compile(r"^(o\d|gpt-[5-9](?!.*chat))")


def openai_model(model_id: ModelId) -> OpenAIModel | OwnServerModel:
    """The model at OPENAI_BASE_URL with OPENAI_API_KEY, or `NAME@SLUG` at the server called SLUG (llm/endpoints.py).

    Takes 1.4 s the first time, for the libraries. Raises UnknownModel for a server that does not exist.
    """
    importlib.import_module("langchain_openai")
    if endpoints.split_name(model_id)[1]:
        return OwnServerModel(model_id)
    return OpenAIModel(model_id, url=settings.OPENAI_BASE_URL or OPENAI_URL, key=settings.OPENAI_API_KEY)


class OpenAIModel:
    def __init__(
        self, model_id: ModelId, *, url: str, key: str, name: str = "", context_tokens: int = ASSUMED_CONTEXT
    ) -> None:
        self.id = model_id
        self._name = name or model_id.name
        self.place = place_of(url)
        self.context_tokens = context_tokens
        self._url = url.rstrip("/")
        self._key = key or "none"
        self._chats = PerLoop(self._make, _close)

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        chat, _client = self._chats.get()
        opened: list[AsyncStream[object]] = []
        reason: Literal["stop", "length", "unknown"] = "unknown"
        usage = Usage()
        begun = False
        try:
            async for chunk in chat._astream(langchain_messages(request), opened=opened, **self._parameters(request)):
                message = chunk.message
                if message.content:
                    begun = True
                    yield Token(str(message.content))
                if found := (chunk.generation_info or {}).get("finish_reason"):
                    reason = "length" if found == "length" else "stop"
                if counts := getattr(message, "usage_metadata", None):
                    usage = _usage(counts)
        except Exception as error:
            raise self._translated(error, begun=begun) from error
        finally:
            # Leaving LangChain's generators would close the connection only when they are collected.
            for stream in opened:
                await stream.close()
        yield Finished(usage, reason)

    async def check(self) -> Health:
        _chat, client = self._chats.get()
        try:
            await client.models.list(timeout=CONNECT_SECONDS)
        except Exception as error:
            return Health(False, str(self._translated(error, begun=False)))
        return Health(True)

    async def warm(self, request: ChatRequest) -> None:
        """Nothing to do: these servers keep their prompt caches themselves."""

    async def aclose(self) -> None:
        await self._chats.close()

    def _make(self) -> tuple[ChatOpenAI, AsyncOpenAI]:
        from langchain_openai import ChatOpenAI
        from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout
        from pydantic import SecretStr

        # The switcher watches the stream, and its fallback is the retry.
        patience = Timeout(None, connect=CONNECT_SECONDS)
        client = AsyncOpenAI(
            base_url=self._url,
            api_key=self._key,
            max_retries=0,
            timeout=patience,
            http_client=DefaultAioHttpClient(timeout=patience, trust_env=self.place is Place.CLOUD),
        )
        chat = ChatOpenAI(
            model=self._name,
            base_url=self._url,
            api_key=SecretStr(self._key),
            async_client=_JsonCompletions(client, own_server=self._url != OPENAI_URL),
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,
            use_responses_api=False,
        )
        return chat, client

    def _parameters(self, request: ChatRequest) -> dict[str, Any]:
        parameters: dict[str, Any] = {"max_tokens": request.max_tokens}
        if not _FIXED_TEMPERATURE.match(self._name):
            parameters["temperature"] = request.temperature
        if request.schema:
            # As `response_format` LangChain would take another way, past _JsonCompletions.
            parameters["extra_body"] = {"response_format": response_format(request.schema)}
        return parameters

    def _translated(self, error: Exception, *, begun: bool) -> LanguageModelError:
        import openai

        if isinstance(error, openai.APIStatusError):
            return from_status(self.id, error.status_code, error.response.text, error.response.headers)
        if isinstance(error, openai.APIConnectionError):
            return broken(self.id, error) if begun else unreachable(self.id, self._url)
        if isinstance(error, openai.APIError):  # an error event inside the stream
            return from_status(self.id, _code_in(error.body), str(error.message))
        return broken(self.id, error)


class OwnServerModel:
    """A model of a server in the table; follows the table, while answers that run stay where they began."""

    def __init__(self, model_id: ModelId) -> None:
        self.id = model_id
        self._name, self._slug = endpoints.split_name(model_id)
        self._made: tuple[endpoints.Server, OpenAIModel] | None = None
        self._model()

    @property
    def place(self) -> Place:
        """CLOUD when the server is no longer there: nothing private goes to where nobody knows."""
        server = endpoints.find(self._slug)
        return place_of(server.url) if server else Place.CLOUD

    @property
    def context_tokens(self) -> int:
        server = endpoints.find(self._slug)
        return (server.context_tokens if server else None) or ASSUMED_CONTEXT

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        model = self._model()
        if request.private and model.place is not Place.LOCAL:  # the table may have changed since the choice
            raise ModelUnavailable(_("%(model)s is not on this network any more.") % {"model": self.id})
        async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def check(self) -> Health:
        try:
            return await self._model().check()
        except LanguageModelError as error:
            return Health(False, str(error))

    async def warm(self, request: ChatRequest) -> None:
        """Nothing to do: these servers keep their prompt caches themselves."""

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made[1].aclose()

    def _model(self) -> OpenAIModel:
        server = endpoints.find(self._slug)
        if server is None:
            raise endpoints.unknown(self.id)
        if not server.readable:
            raise AuthenticationFailed(endpoints.unreadable(server))
        if self._made is None or self._made[0] != server:
            tokens = server.context_tokens or ASSUMED_CONTEXT
            made = OpenAIModel(self.id, url=server.url, key=server.key, name=self._name, context_tokens=tokens)
            self._made = (server, made)
        return self._made[1]


async def _close(pair: tuple[ChatOpenAI, AsyncOpenAI]) -> None:
    await pair[1].close()


class _JsonCompletions:
    """Stands where ChatOpenAI expects `client.chat.completions`: the same call, but the chunks are plain dicts.

    The SDK builds three pydantic models for each token and LangChain takes them apart again. `opened` receives
    the stream, so that its owner can close it.
    """

    def __init__(self, client: AsyncOpenAI, *, own_server: bool) -> None:
        self._client = client
        self._own_server = own_server

    async def create(self, *, opened: list[AsyncStream[object]], **payload: Any) -> _Chunks:
        from openai import AsyncStream

        payload.update(payload.pop("extra_body", None) or {})
        if self._own_server and "max_completion_tokens" in payload:
            # Most compatible servers know only the older name and would answer without a bound.
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        stream = await self._client.post(
            "/chat/completions", cast_to=object, body=payload, stream=True, stream_cls=AsyncStream[object]
        )
        opened.append(stream)
        return _Chunks(stream)


class _Chunks:
    """What LangChain iterates over: the chunks of one answer. An error event is raised as the SDK would."""

    def __init__(self, stream: AsyncStream[object]) -> None:
        self._stream = stream

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        return self._read()

    async def __aexit__(self, *_error: object) -> None:
        await self._stream.close()

    async def _read(self) -> AsyncIterator[Chunk]:
        import openai

        response = self._stream.response
        async for chunk in chat_chunks(response.aiter_bytes()):
            if error := chunk.get("error"):
                message = error.get("message") if isinstance(error, dict) else error
                raise openai.APIError(str(message), request=response.request, body=error)
            yield chunk


def _usage(counts: dict[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=counts.get("input_tokens"),
        cached_prompt_tokens=(counts.get("input_token_details") or {}).get("cache_read"),
        completion_tokens=counts.get("output_tokens"),
    )


def _code_in(body: object) -> int:
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) and code >= 400 else 500
