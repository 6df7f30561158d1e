"""The inference API of the Hugging Face hub, and servers of one's own that speak it (TGI), by the hub's own client.

Not through langchain-huggingface (1.2.3): it asks for huggingface_hub < 2, and its async stream is this very client
(`AsyncInferenceClient.chat_completion`), kept for all answers. The client lets go of a connection only when it is
closed itself, so a stopped answer would be computed to its end: here each answer has a client of its own, and all
share our pool of connections (a new one costs 20 ms of CPU, and would send private texts through a proxy).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.utils.translation import gettext as _

from llm.errors import AuthenticationFailed, LanguageModelError
from llm.loops import PerLoop
from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage

from .faults import CONNECT_SECONDS, broken, from_status, unreachable
from .json_format import response_format
from .places import HUGGINGFACE_URL, place_of

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import AsyncInferenceClient

ASSUMED_CONTEXT = 8192
_WITH_USAGE: Any = {"include_usage": True}  # the client declares a class, and sends what it is given


def endpoint_model(model_id: ModelId) -> EndpointModel:
    """The model at HF_BASE_URL with HF_TOKEN; a server of one's own may do without a token."""
    return EndpointModel(model_id, url=settings.HF_BASE_URL or HUGGINGFACE_URL, key=settings.HF_TOKEN)


class EndpointModel:
    context_tokens = ASSUMED_CONTEXT

    def __init__(self, model_id: ModelId, *, url: str, key: str) -> None:
        self.id = model_id
        self.place = place_of(url)
        self._url = url.rstrip("/")
        self._key = key
        self._sessions = PerLoop(self._session, _close)

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        begun = False
        reason: Literal["stop", "length", "unknown"] = "unknown"
        usage = Usage()
        client = self._client()
        form: Any = response_format(request.schema) if request.schema else None
        try:
            async for chunk in await client.chat_completion(
                [{"role": message.role, "content": message.content} for message in request.messages],
                model=self.id.name,
                stream=True,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
                stream_options=_WITH_USAGE,
                response_format=form,
            ):
                for choice in chunk.choices[:1]:
                    if choice.delta.content:
                        begun = True
                        yield Token(choice.delta.content)
                    if choice.finish_reason:
                        reason = "length" if choice.finish_reason == "length" else "stop"
                usage = _usage(chunk.usage) or usage
        except Exception as error:
            raise self._translated(error, begun=begun) from error
        finally:
            await client.close()  # type: ignore[no-untyped-call]
        yield Finished(usage, reason)

    async def check(self) -> Health:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            self._needs_key()
            async with httpx.AsyncClient(timeout=CONNECT_SECONDS, trust_env=self.place is Place.CLOUD) as client:
                answer = await client.get(f"{self._url}/models", headers=headers)
            if answer.status_code != 200:
                raise from_status(self.id, answer.status_code, answer.text, answer.headers)
        except httpx.HTTPError:
            return Health(False, str(unreachable(self.id, self._url)))
        except LanguageModelError as error:
            return Health(False, str(error))
        return Health(True)

    async def warm(self, request: ChatRequest) -> None:
        """Nothing to do: these servers keep their prompt caches themselves."""

    async def aclose(self) -> None:
        await self._sessions.close()

    def _needs_key(self) -> None:
        if self._url == HUGGINGFACE_URL and not self._key:
            raise AuthenticationFailed(_("%(model)s needs a token of the hub; set HF_TOKEN.") % {"model": self.id})

    def _client(self) -> AsyncInferenceClient:
        self._needs_key()
        import httpx2
        from huggingface_hub import AsyncInferenceClient

        # The switcher watches the stream. Without a token the client would take one it finds on this machine.
        patience: Any = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        client = AsyncInferenceClient(base_url=self._url, api_key=self._key or "none", timeout=patience)
        client._async_client = self._sessions.get()
        return client

    def _session(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
            trust_env=self.place is Place.CLOUD,
            event_hooks={"response": [_read_refusal]},
        )

    def _translated(self, error: Exception, *, begun: bool) -> LanguageModelError:
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError

        if isinstance(error, LanguageModelError):
            return error
        if isinstance(error, HfHubHTTPError):
            return from_status(self.id, error.response.status_code, _body(error), error.response.headers)
        if isinstance(error, TextGenerationError):  # an error event inside the stream
            return from_status(self.id, 500, str(error))
        if isinstance(error, InferenceTimeoutError | httpx2.ConnectError) and not begun:
            return unreachable(self.id, self._url)
        return broken(self.id, error)


async def _read_refusal(response: httpx2.Response) -> None:
    """The client looks for the server's sentence in a body that nobody has read."""
    if response.status_code >= 400:
        await response.aread()


async def _close(session: httpx2.AsyncClient) -> None:
    await session.aclose()


def _body(error: Any) -> str:
    return str(error.server_message or error)


def _usage(counts: Any) -> Usage | None:
    if counts is None:
        return None
    details = getattr(counts, "prompt_tokens_details", None) or {}
    return Usage(
        prompt_tokens=counts.prompt_tokens,
        cached_prompt_tokens=details.get("cached_tokens") if isinstance(details, dict) else None,
        completion_tokens=counts.completion_tokens,
    )
