"""Where an answer comes from: kept with each turn, so that its prompt can be had again byte for byte.

Prompts are append-only (prompting.py), so each message is stored once a conversation, with its hash as its name, and
a turn lists the hashes. The opening, which holds nothing that anybody wrote, is stored once for all conversations.

Turn.provenance
    messages     SHA-256 of each message in order: of role, a newline and the text
    sha256       of these, each on a line: two answers to the same prompt have the same one
    opening      how many messages come before the first turn in it
    sampling     max_tokens, temperature, and repeat_penalty where the model's adapter sets one
    generations  ids of the index generations that were searched; chunks: of the passages the answer may cite
    history      ids of the turns in the prompt; app: the version of this application
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from llm.types import Message

from . import prompting, selectors
from .draft import Draft
from .models import PromptMessage, Turn
from .questions import about_conversation
from .selectors import TurnContext
from .services import NewMessage

APP = "0.1.0"  # as in pyproject.toml
Role = Literal["system", "user", "assistant"]
ROOM = 2**31  # tokens: a prompt that is put together again is not cut


class PromptDamaged(Exception):
    """What is stored of a prompt is not what the model was shown."""


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """exact: byte for byte what the model was shown; else put together again from the conversation as it is now.

    opening     so many of the messages come before the first turn in it
    """

    messages: tuple[Message, ...]
    exact: bool
    opening: int


# --- keeping -------------------------------------------------------------------------------------


def kept(context: TurnContext, draft: Draft) -> tuple[dict[str, Any], list[NewMessage]]:
    """Turn.provenance of a turn that ends now, and the messages that are not stored yet; ({}, []) when no model
    was asked."""
    asked = draft.asked
    if asked is None:
        return {}, []
    request = asked.request
    sampling: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    if draft.repeat_penalty is not None:
        sampling["repeat_penalty"] = draft.repeat_penalty
    hashes = [message_hash(message) for message in request.messages]
    provenance = {
        "messages": hashes,
        "sha256": prompt_hash(hashes),
        "opening": asked.opening,
        "sampling": sampling,
        "generations": list(draft.generations),
        "chunks": [source.chunk for source in draft.sources if source.chunk is not None],
        "history": [str(turn) for turn in asked.history],
        "app": APP,
    }
    new = {
        sha256: NewMessage(sha256, message.role, message.content, shared=number < asked.opening)
        for number, (sha256, message) in enumerate(zip(hashes, request.messages, strict=True))
        if sha256 not in context.known_messages
    }
    return provenance, list(new.values())


def message_hash(message: Message) -> str:
    return hashlib.sha256(f"{message.role}\n{message.content}".encode()).hexdigest()


def prompt_hash(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode("ascii")).hexdigest()


# --- reading -------------------------------------------------------------------------------------


def prompt_of(turn: Turn) -> tuple[Message, ...]:
    """What the model of this turn was shown. Raises PromptDamaged."""
    return stored_prompt(turn).messages


def stored_prompt(turn: Turn) -> StoredPrompt:
    """Raises PromptDamaged."""
    return stored_prompts([turn])[turn.pk]


def stored_prompts(turns: Sequence[Turn]) -> dict[UUID, StoredPrompt]:
    """By turn, with one statement for all that are stored. Raises PromptDamaged.

    Those from before prompts were kept are put together again, a few statements each: give them with
    `conversation__coach` selected.
    """
    texts = _texts([turn for turn in turns if turn.provenance.get("messages")])
    return {
        turn.pk: _checked(turn, texts[turn.conversation_id], texts[None])
        if turn.provenance.get("messages")
        else _put_together(turn)
        for turn in turns
    }


def _texts(turns: Sequence[Turn]) -> defaultdict[UUID | None, dict[str, Message]]:
    """By conversation (None for openings) and hash."""
    found: defaultdict[UUID | None, dict[str, Message]] = defaultdict(dict)
    if not turns:
        return found
    hashes = {sha256 for turn in turns for sha256 in turn.provenance["messages"][: turn.provenance["opening"]]}
    own = Q(conversation__in={turn.conversation_id for turn in turns})
    rows = PromptMessage.objects.filter(own | Q(conversation=None, sha256__in=hashes))
    for conversation, sha256, role, text in rows.values_list("conversation", "sha256", "role", "text"):
        message = Message(cast("Role", role), text)
        if message_hash(message) == sha256:  # a changed one is as good as lost
            found[conversation][sha256] = message
    return found


def _checked(turn: Turn, own: dict[str, Message], openings: dict[str, Message]) -> StoredPrompt:
    stored = turn.provenance
    # An opening's message is stored as shared, or with the conversation when something like it was said there.
    found = [own.get(sha256) or openings.get(sha256) for sha256 in stored["messages"]]
    messages = tuple(message for message in found if message is not None)
    if len(messages) != len(found) or prompt_hash(stored["messages"]) != stored["sha256"]:
        raise PromptDamaged(_("The stored prompt of this turn is damaged: it is not what the model was shown."))
    return StoredPrompt(messages, exact=True, opening=stored["opening"])


def _put_together(turn: Turn) -> StoredPrompt:
    """As it would be built from what the conversation holds today."""
    conversation = turn.conversation
    opening = prompting.opening(conversation.coach.mode, turn.language, conversation.coach.prompt)
    past, sources = selectors.path_of(turn)
    before = {source.n for earlier in past for source in earlier.sources}
    numbers = [entry["n"] for entry in turn.sources]
    now = prompting.PastTurn(
        position=turn.position,
        question=turn.question,
        answer="",
        language=turn.language,
        grounded=bool(numbers) or about_conversation(turn.question, turn.language),
        sources=tuple(sources[n] for n in numbers if n in sources and n not in before),
    )
    cut = conversation.sources_from_turn
    prompt = prompting.build(
        opening=opening,
        past=past,
        now=now,
        sources_from=cut if cut <= turn.position else 0,
        context_tokens=ROOM,
        answer_tokens=0,
    )
    return StoredPrompt(prompt.messages, exact=False, opening=len(opening))
