"""Whom or what a question names, of all that there are rows of: processes, devices, mounts, interfaces and groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.vocabulary import COMMON, WORD
from kernelsight.events.declare import Kind
from kernelsight.events.wire import kinds
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

_NAMED_BY = (
    ("process", "sched_process", "comm"),
    ("process", "process", "comm"),
    ("process", "oom_kill", "comm"),
    ("process", "tcp_listener", "comm"),
    ("process", "socket_owner", "comm"),
    ("process", "blocked_task", "comm"),
    ("process", "file_lock_wait", "comm"),
    ("process", "file_lock_wait", "holder_comm"),
    ("process", "wait", "comm"),
    ("process", "syscall", "comm"),
    ("device", "block", "device_name"),
    ("device", "io_latency", "device"),
    ("interface", "network", "interface_name"),
    ("mount", "filesystem", "mount_point"),
    ("cgroup", "cgroup", "cgroup"),
)
"""What people name in questions: the kind of thing, and where its names stand."""
_COLUMNS = {
    "process": ("comm",), "device": ("device_name", "device"), "interface": ("interface_name",),
    "mount": ("mount_point",), "cgroup": ("cgroup",),
}  # fmt: skip
_PID = re.compile(r"\b(?:pid|process)\s+(\d{1,10})\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"'“”‘’`]([^\"'“”‘’`]{1,200})[\"'“”‘’`]")  # noqa: RUF001 - as people type them
_COMM_LENGTH = 15
"""Characters that the kernel keeps of a thread's name (TASK_COMM_LEN less its end)."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a question names."""

    kind: str
    column: str
    value: Value
    said: str

    def condition(self, metric: Metric) -> Condition | None:
        """Which rows are its; None where the metric's rows do not tell."""
        return self.condition_of(metric.kind)

    def condition_of(self, kind: Kind) -> Condition | None:
        """Which rows of a kind are its; None where they do not tell."""
        columns = ("pid",) if self.column == "pid" else _COLUMNS[self.kind]
        for column in columns:
            if column in kind.by_name and not (column == "device" and kind.name == "filesystem"):
                return Condition(column, "=", self.value)
        return None


class Names:
    """The names in the rows of a time."""

    def __init__(self, reader: Reader, when: TimeRange) -> None:
        self._reader = reader
        self._when = when
        self._all: list[Name] | None = None

    @property
    def all(self) -> Sequence[Name]:
        """Each once."""
        if self._all is None:
            found: dict[tuple[str, Value], Name] = {}
            for kind, rows_of, column in _NAMED_BY:
                for value in self._values(rows_of, column):
                    found.setdefault((kind, value), Name(kind, _COLUMNS[kind][0], value, value))
            self._all = list(found.values())
        return self._all

    def said_in(self, text: str) -> list[Name]:
        """Those that a question says, and the process of a pid."""
        pid = _PID.search(text)
        if pid:
            return [Name("process", "pid", int(pid[1]), f"process {pid[1]}")]
        words = {word.strip(".:,") for word in WORD.findall(text)}
        quoted = {match[1].strip() for match in _QUOTED.finditer(text)}
        return [name for name in self.all if _is_said(str(name.value), name.kind, words, quoted)]

    def texts(self) -> Iterator[str]:
        """All of them as text."""
        return (str(name.value) for name in self.all)

    def _values(self, rows_of: str, column: str) -> list[str]:
        kind = kinds()[rows_of]
        if not self._reader.holds(kind.table):
            return []
        relation, params = self._reader.relation(kind.table, self._when.start_ns, self._when.end_ns, [column])
        sql = Sql(f"SELECT DISTINCT {column} AS name FROM {relation} AS named WHERE {column} IS NOT NULL", params)  # noqa: S608 - our names
        return [str(row["name"]) for row in run(self._reader, sql)]


def _is_said(name: str, kind: str, words: Iterable[str], quoted: Iterable[str]) -> bool:
    """Whether one of the words of a question is this name; of a group also the last part of its path."""
    own = {name.lower()}
    if kind == "process":
        own.add(name.lower()[:_COMM_LENGTH])
    if kind == "cgroup":
        last = name.rstrip("/").rpartition("/")[2].lower()
        own |= {last, last.removesuffix(".service"), last.removesuffix(".slice")} - {""}
    if any(text.lower() in own or text == name for text in quoted):
        return True
    for word in words:
        lower = word.lower()
        if lower in COMMON or (len(lower) < 2 and lower != "/"):
            continue
        if lower in own or (kind == "process" and len(lower) > _COMM_LENGTH and lower[:_COMM_LENGTH] in own):
            return True
        if kind == "mount" and lower.rstrip("/") == name.lower().rstrip("/") and lower.startswith("/"):
            return True
    return False
