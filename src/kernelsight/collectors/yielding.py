"""Which collectors yield a kind of event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from kernelsight.collectors.base import registered
from kernelsight.events.declare import kind_of


@cache
def _collector_of_each() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for name, sources in registered().items():
        for source in sources:
            for struct in source.emits:
                names.setdefault(kind_of(struct).name, name)
    return names


def yielding(names: Iterable[str]) -> tuple[str, ...]:
    """The collectors that yield kinds of event, in the order of the kinds, each once; none for what is derived."""
    known = _collector_of_each()
    return tuple(dict.fromkeys(known[kind] for kind in names if kind in known))
