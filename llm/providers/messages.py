"""A request's messages as LangChain knows them; imported by the adapters that go through LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm.types import ChatRequest

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def langchain_messages(request: ChatRequest) -> list[BaseMessage]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in request.messages]
