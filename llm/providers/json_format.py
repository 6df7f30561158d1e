"""A JSON schema in the words of OpenAI's chat protocol, which llama.cpp, vLLM and LM Studio share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`strict` only where OpenAI would accept it: its strict mode knows no optional and no further properties."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": _strict(schema)},
    }


def _strict(schema: object) -> bool:
    if isinstance(schema, list):
        return all(_strict(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, Mapping):
        named = properties if isinstance(properties, Mapping) else {}
        if schema.get("additionalProperties") is not False or set(named) != set(schema.get("required", ())):
            return False
    return all(_strict(part) for part in schema.values())
