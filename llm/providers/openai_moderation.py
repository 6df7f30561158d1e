"""OpenAI's moderation endpoint, by its SDK (LangChain has only a chain around it)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _

from llm.errors import AuthenticationFailed
from llm.loops import PerLoop
from llm.types import ModelId, Place

from .faults import CONNECT_SECONDS, broken, from_status, unreachable
from .places import OPENAI_URL, place_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MODEL = ModelId("openai", "omni-moderation-latest")


def openai_place() -> Place:
    return place_of(settings.OPENAI_BASE_URL or OPENAI_URL)


async def flagged_by_openai(text: str) -> tuple[str, ...]:
    """The categories in which the endpoint flags the text, () for none. Raises errors of llm/errors.py."""
    url, key = (settings.OPENAI_BASE_URL or OPENAI_URL).rstrip("/"), settings.OPENAI_API_KEY
    if url == OPENAI_URL and not key:
        raise AuthenticationFailed(_("%(model)s needs a key; set OPENAI_API_KEY.") % {"model": MODEL})
    import openai

    try:
        answer = await _clients(url, key or "none").get().moderations.create(model=MODEL.name, input=text)
        result = answer.results[0]
        found = result.categories.model_dump(by_alias=True)
        names = [_name(category) for category, flagged in found.items() if flagged]
    except openai.APIStatusError as error:
        raise from_status(MODEL, error.status_code, error.response.text, error.response.headers) from error
    except openai.APIConnectionError as error:
        raise unreachable(MODEL, url) from error
    except (openai.OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise broken(MODEL, error) from error
    return tuple(dict.fromkeys(names)) or (("unsafe",) if result.flagged else ())


def _name(category: str) -> str:
    """Our word for `self-harm/intent` is self_harm; what concerns minors keeps its own."""
    if category == "sexual/minors":
        return "sexual_minors"
    return category.partition("/")[0].replace("-", "_")


@lru_cache(maxsize=4)
def _clients(url: str, key: str) -> PerLoop[AsyncOpenAI]:
    return PerLoop(lambda: _client(url, key), _close)


def _client(url: str, key: str) -> AsyncOpenAI:
    from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout

    patience = Timeout(None, connect=CONNECT_SECONDS)
    http = DefaultAioHttpClient(timeout=patience, trust_env=place_of(url) is Place.CLOUD)
    return AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=patience, http_client=http)


async def _close(client: AsyncOpenAI) -> None:
    await client.close()
