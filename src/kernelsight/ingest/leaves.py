"""The values of a foreign line by their place, and the generated struct that takes all lines like it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

MOST_FIELDS = 200
"""Values of a line that is given a translator; a longer one is translated by the reference."""

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (Decimal, "number"),
    (str, "str"),
    (list, "array"),
)
_ANY_OF: Mapping[str, Any] = {"bool": bool, "int": float, "number": float, "str": str, "array": list}


class NoTranslatorError(Exception):
    """What becomes of such a line depends on its values in more ways than are compiled."""


class Leaf:
    """A value that is no object, wherever in a line it stands."""

    value: object
    place: str
    """How the plan gets at it, such as `line.f0.f3`."""
    takes: Any = None
    """The type of what the struct takes there; None: anything of the same JSON type, and any number for a number."""

    def __ne__(self, other: object) -> bool:
        raise NoTranslatorError("two values of one name")

    __hash__ = object.__hash__

    def must_be(self, taken: Any) -> None:
        """Say what the struct takes there.

        Raises:
            NoTranslatorError: it takes something else there already.
        """
        if self.takes is not None and self.takes != taken:
            raise NoTranslatorError("one value that means two things")
        self.takes = taken

    @property
    def json(self) -> str:
        """The JSON type: bool, int, number (with a point or an exponent), str or array."""
        return next(name for type_, name in _TYPES if isinstance(self.value, type_))


class TextLeaf(Leaf, str):  # noqa: SLOT000 - what a leaf says is not a text's
    """The same of a text, which is still that text for whoever looks at it."""

    __hash__ = str.__hash__


class Leaves:
    """The values of one line."""

    def __init__(self) -> None:
        self._by_place: dict[str, Leaf] = {}

    def wrap(self, line: Mapping[str, object], place: str = "line") -> dict[str, object]:
        """The line with a leaf for each value that is no object and not null.

        Raises:
            NoTranslatorError: it has too many.
        """
        return {key: self._wrapped(value, f"{place}.f{at}") for at, (key, value) in enumerate(line.items())}

    def _wrapped(self, value: object, place: str) -> object:
        if isinstance(value, dict):
            return self.wrap(value, place)
        if value is None:
            return None
        if len(self._by_place) >= MOST_FIELDS:
            raise NoTranslatorError("too many fields")
        leaf = TextLeaf(value) if isinstance(value, str) else Leaf()
        leaf.value, leaf.place = value, place
        self._by_place[place] = leaf
        return leaf

    def struct(self, line: Mapping[str, object], place: str = "line") -> type[msgspec.Struct]:
        """A struct that takes lines with the same keys and types of values, and no others.

        Raises:
            ValueError: a key is no name for msgspec.
        """
        fields = [(f"f{at}", self._type(value, f"{place}.f{at}")) for at, value in enumerate(line.values())]
        names = {f"f{at}": key for at, key in enumerate(line)}
        return msgspec.defstruct("Shape", fields, rename=names, forbid_unknown_fields=True)

    def _type(self, value: object, place: str) -> Any:
        if isinstance(value, dict):
            return self.struct(value, place)
        if value is None:
            return None
        leaf = self._by_place[place]
        return _ANY_OF[leaf.json] if leaf.takes is None else leaf.takes
