"""Value types that cross the border of the model layer.

A caller gives a `ChatRequest` and receives a stream of events:

    Chosen → Token … Token → Finished                     the plain case
    Chosen → Token … FellBack → Chosen → Token … Finished  a model failed, the next one took over
    Chosen → Trimmed → Token … Finished                    the prompt was too long and lost its oldest parts

Everything here is frozen and knows no vendor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol
from uuid import UUID


class Place(StrEnum):
    """Where a model computes; shown with every answer."""

    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class ModelId:
    """A provider and a model name, written `ollama:llama3.1`; `guided` has no name."""

    provider: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}" if self.name else self.provider


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage that guided mode may quote; language models find the same text in their messages."""

    number: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """Whom and what a call is for: only for the books (llm/calls.py).

    user            primary key of the person who asked, None for nobody
    turn            None outside of a conversation
    queue_seconds   from the question to the moment the switcher was asked
    """

    purpose: str = "turn"
    coach: str = ""
    user: int | None = None
    turn: UUID | None = None
    queue_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a language model.

    messages     the whole prompt, append-only within a conversation (see coach/prompting.py)
    max_tokens   bound on the answer, in tokens
    temperature  0 is greedy
    conversation keeps one conversation in one slot of a local server's prompt cache; '' for none
    private      True: only models whose place is LOCAL may see it
    language     of the coachee: en, sv, nb, ko (guided mode answers in it)
    quotes       what guided mode may quote
    account      whom the call is for
    needs        what the model must be able to do: json, tools, vision (llm/capabilities.py)
    schema       JSON schema the answer must fit; adapters with a grammar of their own pass it on
    tokens       the caller's upper estimate of the prompt; 0: estimated here when it matters
    shorter      gives the same request with a prompt of at most so many tokens (None when nothing can be left
                 out); asked when the prompt does not fit a model
    """

    messages: Sequence[Message]
    max_tokens: int = 512
    temperature: float = 0.3
    conversation: str = ""
    private: bool = False
    language: str = "en"
    quotes: Sequence[Quote] = ()
    account: Account = Account()
    needs: frozenset[str] = frozenset()
    schema: Mapping[str, Any] | None = None
    tokens: int = 0
    shorter: Callable[[int], Shorter | None] | None = None


@dataclass(frozen=True, slots=True)
class Shorter:
    """A request that lost its oldest parts: the sources of old turns first, then whole turns."""

    request: ChatRequest
    sources: int = 0
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call; None where the provider does not say.

    prompt_tokens_per_second is what the server measured for fresh prompt tokens, None if unknown.
    """

    prompt_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_per_second: float | None = None
    completion_tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The switcher is about to ask this model."""

    model: ModelId
    place: Place


@dataclass(frozen=True, slots=True)
class Token:
    text: str


@dataclass(frozen=True, slots=True)
class FellBack:
    """`model` failed or was passed over with `reason`; text streamed so far is void if `discard`.

    Reasons are the error codes of llm/errors.py; `busy` and `capability` are those of a model that was not asked.
    """

    model: ModelId
    reason: str
    discard: bool


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The prompt did not fit `model`: so many sources and turns, the oldest, are no longer in what it is asked."""

    model: ModelId
    sources: int
    turns: int


@dataclass(frozen=True, slots=True)
class Finished:
    usage: Usage = field(default_factory=Usage)
    reason: Literal["stop", "length", "unknown"] = "stop"


AdapterEvent = Token | Finished
StreamEvent = Chosen | Trimmed | Token | FellBack | Finished


@dataclass(frozen=True, slots=True)
class CallReport:
    """How one call went, for llm/calls.py.

    outcome               ok, cancelled, or an error code
    fallback_from         the model that failed before it in the same stream, and why; '' for none
    first_token_seconds   None when no token came; seconds is the whole call
    """

    model: ModelId
    place: Place
    started: datetime
    seconds: float
    outcome: str
    account: Account
    first_token_seconds: float | None = None
    fallback_from: str = ""
    fallback_reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Health:
    """Result of a cheap check: `ok`, and one plain sentence when not."""

    ok: bool
    detail: str = ""


class LanguageModel(Protocol):
    """What a provider's adapter must offer; one object per ModelId and process.

    `stream` raises only errors of llm/errors.py. Closing the iterator (aclose, or cancelling the
    task) must stop the model itself, not only the reading. Time-outs belong to the switcher.
    """

    id: ModelId
    place: Place
    context_tokens: int

    def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]: ...

    async def check(self) -> Health: ...

    async def warm(self, request: ChatRequest) -> None:
        """Read the prompt into the server's cache without generating; a no-op where there is none."""
        ...

    async def aclose(self) -> None: ...
