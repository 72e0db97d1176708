"""JSON schemas of our types, in the subset that models' interfaces understand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Schema = dict[str, Any]

_UNDERSTOOD = frozenset(
    {"type", "description", "enum", "items", "properties", "required", "additionalProperties", "anyOf", "minimum",
     "maximum", "minItems", "maxItems"}
)  # fmt: skip
"""Keys that `parametersJsonSchema` and `responseJsonSchema` take (ai.google.dev/api/generate-content)."""


def schema_of(struct: type[msgspec.Struct]) -> Schema:
    """The schema of a struct, without references and default values."""
    whole = msgspec.json.schema(struct)
    return _plain(whole, whole.get("$defs", {}))


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    schema: Schema = {name: value for name, value in node.items() if name in _UNDERSTOOD}
    if "enum" in schema:
        schema["type"] = "string"
    if "properties" in schema:
        schema["properties"] = {name: _plain(part, definitions) for name, part in schema["properties"].items()}
    if "items" in schema:
        schema["items"] = _plain(schema["items"], definitions)
    if "anyOf" in schema:
        schema["anyOf"] = [_plain(part, definitions) for part in schema["anyOf"]]
    return schema
