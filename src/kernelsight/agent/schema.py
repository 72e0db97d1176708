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
    found: Schema = {name: value for name, value in node.items() if name in _UNDERSTOOD}
    if "enum" in found:
        found["type"] = "string"
    if "properties" in found:
        found["properties"] = {name: _plain(one, definitions) for name, one in found["properties"].items()}
    if "items" in found:
        found["items"] = _plain(found["items"], definitions)
    if "anyOf" in found:
        found["anyOf"] = [_plain(one, definitions) for one in found["anyOf"]]
    return found
