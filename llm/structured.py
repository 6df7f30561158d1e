"""JSON by schema from any language model.

Where the engine has a grammar for it (llama.cpp, Ollama, OpenAI and its like) the adapter passes the schema on;
every model is also told in words. What comes is checked here, and a model that got it wrong is shown its error once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from . import switcher
from .errors import StructuredOutputFailed
from .types import ChatRequest, Chosen, FellBack, Finished, Message, ModelId, Token

_FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_INSTRUCTION = "Answer with one JSON object that fits this JSON schema, and with nothing else:"
_REPAIR = "This does not fit: {problem}. Write the whole JSON object again, corrected, and nothing else."
_LONGEST_PROBLEM = 300


class _Unfit(Exception):
    """What is wrong with an answer, in words for the model."""


async def ask_json(
    request: ChatRequest,
    schema: Mapping[str, Any],
    models: Sequence[ModelId],
    limits: switcher.Limits = switcher.LIMITS,
) -> dict[str, Any]:
    """An object that fits `schema` (JSON Schema 2020-12, its top an object), from the first model that gives one.

    `request` says in its own words what is wanted. Guided mode is never asked. Raises StructuredOutputFailed when
    the answer does not fit even after one repair, NoModelLeft when no model answered at all, and
    jsonschema.SchemaError for a schema that is none.
    """
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(dict(schema))
    check = Draft202012Validator(dict(schema))
    asked = replace(
        request,
        messages=_with_instruction(request.messages, schema),
        needs=request.needs | {"json"},
        schema=schema,
        tokens=0,
        shorter=None,
    )
    text, cut, model = await _answer(asked, models, limits)
    try:
        return _fitting(text, cut, check)
    except _Unfit as unfit:
        problem = str(unfit)
    repair = [Message("assistant", text or "{}"), Message("user", _REPAIR.format(problem=problem))]
    left = models[models.index(model) :]
    text, cut, model = await _answer(replace(asked, messages=[*asked.messages, *repair]), left, limits)
    try:
        return _fitting(text, cut, check)
    except _Unfit as unfit:
        raise StructuredOutputFailed(
            _("%(model)s gave no answer in the form that was asked for; try again or use a larger model. %(problem)s")
            % {"model": model, "problem": unfit}
        ) from unfit


def _with_instruction(messages: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """At the end of the last message: what a small model read last it follows best."""
    text = f"{_INSTRUCTION}\n{json.dumps(schema, ensure_ascii=False, separators=(',', ':'))}"
    *before, last = messages
    if last.role != "user":
        return [*messages, Message("user", text)]
    return [*before, Message("user", f"{last.content}\n\n{text}")]


async def _answer(
    request: ChatRequest, models: Sequence[ModelId], limits: switcher.Limits
) -> tuple[str, bool, ModelId]:
    """The text, whether it was cut at `max_tokens`, and who wrote it."""
    parts: list[str] = []
    cut, model = False, models[0] if models else ModelId("")
    async with aclosing(switcher.stream(request, models, limits)) as events:
        async for event in events:
            if isinstance(event, Token):
                parts.append(event.text)
            elif isinstance(event, FellBack):
                parts.clear()
            elif isinstance(event, Chosen):
                model = event.model
            elif isinstance(event, Finished):
                cut = event.reason == "length"
    return "".join(parts), cut, model


def _fitting(text: str, cut: bool, check: Any) -> dict[str, Any]:
    found = _object_in(text)
    if found is None:
        raise _Unfit("it broke off before its end; write less" if cut else "it is not one JSON object")
    errors = sorted(check.iter_errors(found), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        raise _Unfit("; ".join(f"{error.json_path}: {error.message}" for error in errors)[:_LONGEST_PROBLEM])
    return found


def _object_in(text: str) -> dict[str, Any] | None:
    """The JSON object in an answer, also inside a code fence, after thoughts or between sentences."""
    text = _THOUGHTS.sub("", text)
    fenced = _FENCED.search(text)
    for candidate in (text, fenced.group(1) if fenced else "", text[text.find("{") : text.rfind("}") + 1]):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None
