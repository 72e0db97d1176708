"""Lines about a part of the machine: which words of others say so, and what becomes of such a line.

The counters of a container's `eth0` are not those of the machine's, and the memory of a container is not the
machine's memory. Where our entity has a name, the part is added to it (`eth0 (container web)`), so that two
containers stay two; where it has none, the line is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from kernelsight.events.declare import Kind
from kernelsight.ingest.values import Stored

_WORDS = ("pod", "container", "cgroup", "netns", "vm", "lxc", "jail", "partition", "numa")
"""Words within a name that says of which part of the machine a line speaks, the widest first."""

_NAMES: Mapping[str, str] = {
    "queue": "queue",
    "queue_id": "queue",
    "vlan": "vlan",
    "vlan_id": "vlan",
    "cpu_id": "cpu",
    "core_id": "cpu",
    "network_namespace": "netns",
    "net_namespace": "netns",
    "numa_node": "numa",
}
"""Whole names that do."""

_NUMBERED = re.compile(r"(?:cpu|core|node)[0-9]+")
"""Values that name one CPU or one node of memory."""

_LONGEST_NAME = 64
"""Characters of a name that are looked at."""

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_OF_THE_MACHINE = frozenset(
    (
        *("agent", "arch", "architecture", "collector", "host", "hostname", "kernel", "machine", "node", "nodename"),
        *("os", "platform", "release", "sensor", "source", "system", "version", "build", "schema"),
        *("az", "cluster", "datacenter", "dc", "env", "environment", "rack", "region", "site", "zone"),
        *("instance", "job", "service", "distribution", "message", "msg", "level"),
        *("interval", "kind", "metric", "period", "timezone", "tz", "unit", "units"),
    )
)
"""Words within names of texts that say where a line comes from, or in which units it is, but not of what it speaks."""


class PartError(ValueError):
    """The line is about a part of the machine that no column can name; the message is the reason."""


def keep_apart(kind: Kind, values: dict[str, Stored], others: Mapping[str, object]) -> None:
    """Put the part that a sample speaks of into the name of its entity.

    Args:
        kind: a kind that is sampled.
        values: its columns; changed.
        others: the fields of the line that no column stands for.

    Raises:
        PartError: no column can say which part it is.
    """
    parts = _parts(others)
    if parts and not is_told_apart(kind, values):
        column = part_column(kind, values)
        if column is None:
            raise PartError(f"measured for a part of the machine, {parts}: no column of {kind.table} says which")
        values[column] = f"{values[column]} ({parts})"
    elif kind.entity and not any(name in values for name in kind.entity):
        labels = sorted(name for name, value in others.items() if isinstance(value, str) and not _is_origin(name))
        if labels:
            raise PartError(f"no {' or '.join(kind.entity)}: {', '.join(labels[:5])} may say which, and is not known")


def may_say_part(name: str) -> bool:
    """Whether some value of a field says which part of the machine its line speaks of."""
    plain = name[:_LONGEST_NAME].lower()
    return plain in _NAMES or not {"cpu", "core", "node", *_WORDS}.isdisjoint(_words(plain))


def is_told_apart(kind: Kind, columns: Collection[str]) -> bool:
    """Whether the entity is the same one inside a container and outside: a process, a thread, a group by its path."""
    return bool({"pid", "tid"} & set(kind.entity)) or (kind.name == "cgroup" and "cgroup" in columns)


def part_column(kind: Kind, columns: Collection[str]) -> str | None:
    """The column that the name of a part is added to; None where the columns of a line have none for it."""
    column = next((kind.by_name[name] for name in kind.entity if kind.by_name[name].type == "TEXT"), None)
    return column.name if column is not None and not column.choices and column.name in columns else None


def _parts(others: Mapping[str, object]) -> str:
    """The parts that a line speaks of, such as `container web`; empty where it speaks of the machine."""
    fields: dict[str, tuple[int, str, str]] = {}
    for name, value in others.items():
        word = _word(name, value)
        if word is not None:
            candidate = (_rank(name, word), name, str(value))
            fields[word] = min(fields.get(word, candidate), candidate)
    order = sorted(fields, key=lambda word: _WORDS.index(word) if word in _WORDS else len(_WORDS))
    return ", ".join(f"{word} {fields[word][2]}" for word in order)


def _word(name: str, value: object) -> str | None:
    """What kind of part a field names, if any."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    plain = name[:_LONGEST_NAME].lower()
    if plain in _NAMES:
        return _NAMES[plain]
    words = _words(plain)
    if isinstance(value, str):
        if _NUMBERED.fullmatch(value) and {"cpu", "core", "node"} & set(words):
            return "numa" if "node" in words else "cpu"
        return next((word for word in _WORDS if word in words), None)
    return next((word for word in _WORDS if words in ((word,), (word, "id"), (word, "number"))), None)


def _rank(name: str, word: str) -> int:
    """Of several fields about one part the lowest counts: its name, the bare word, its id, anything else."""
    words = _words(name[:_LONGEST_NAME].lower())
    if words[-1] == "name":
        return 0
    if words[-1] == word:
        return 1
    return 2 if words[-1] in {"id", "uid"} else 3


def _is_origin(name: str) -> bool:
    return not _OF_THE_MACHINE.isdisjoint(_words(name[:_LONGEST_NAME].lower()))


@lru_cache(maxsize=1024)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in _SEPARATORS.split(name) if word)
