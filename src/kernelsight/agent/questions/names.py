"""The names in a question: of processes, devices, mounts, interfaces and groups that have rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.vocabulary import COMMON, WORD
from kernelsight.events.block import Block, IoLatency
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.fields import Field, field_named, getter, name_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.lock import FileLockWait
from kernelsight.events.memory import OomKill
from kernelsight.events.network import Network
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.scheduler import BlockedTask, SchedProcess, Wait
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import TcpListener
from kernelsight.query.filters import Filter
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

Kinds = Literal["process", "device", "interface", "mount", "cgroup"]
"""What people name in questions."""
_NAMED_BY: Mapping[Kinds, tuple[Field[Any, str | None], ...]] = {
    "process": (
        SchedProcess.comm,
        Process.comm,
        OomKill.comm,
        TcpListener.comm,
        SocketOwner.comm,
        BlockedTask.comm,
        FileLockWait.comm,
        FileLockWait.holder_comm,
        Wait.comm,
        Syscall.comm,
    ),
    "device": (Block.device_name, IoLatency.device),
    "interface": (Network.interface_name,),
    "mount": (Filesystem.mount_point,),
    "cgroup": (Cgroup.cgroup,),
}
"""Where their names stand."""
_COLUMNS: Mapping[Kinds, tuple[str, ...]] = {
    "process": (name_of(Process.comm),),
    "device": (name_of(Block.device_name), name_of(IoLatency.device)),
    "interface": (name_of(Network.interface_name),),
    "mount": (name_of(Filesystem.mount_point),),
    "cgroup": (name_of(Cgroup.cgroup),),
}
"""What a column is called that is about such a thing, in the kinds that have one."""
_PID_COLUMN = name_of(Process.pid)
_PID = re.compile(r"\b(?:pid|process)\s+(\d{1,10})\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"'“”‘’`]([^\"'“”‘’`]{1,200})[\"'“”‘’`]")  # noqa: RUF001 - as people type them
_COMM_LENGTH = 15
"""Characters that the kernel keeps of a thread's name (TASK_COMM_LEN less its end)."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a question names."""

    kind: Kinds
    column: Field[Any, Any]
    value: Value
    said: str

    def condition(self, metric: Metric) -> Filter[Any] | None:
        """Which rows are its; None where the metric's rows do not tell."""
        return self.condition_of(metric.kind)

    def condition_of(self, kind: Kind) -> Filter[Any] | None:
        """Which rows of a kind are its; None where they do not tell."""
        columns = (_PID_COLUMN,) if name_of(self.column) == _PID_COLUMN else _COLUMNS[self.kind]
        for column in columns:
            if column in kind.by_name and (field := field_named(kind, column)) is not Filesystem.device:
                return Filter(field, "=", self.value)
        return None

    def is_of(self, row: Event) -> bool:
        """Whether a row, of a kind that has such a column, is about it."""
        return bool(getter(field_named(kind_of(type(row)), name_of(self.column)))(row) == self.value)


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
            names: dict[tuple[str, Value], Name] = {}
            for kind, columns in _NAMED_BY.items():
                for column in columns:
                    for value in self._values(column):
                        names.setdefault((kind, value), Name(kind, columns[0], value, value))
            self._all = list(names.values())
        return self._all

    def said_in(self, text: str) -> list[Name]:
        """Those that a question says, and the process of a pid."""
        pid = _PID.search(text)
        if pid:
            return [Name("process", Process.pid, int(pid[1]), f"process {pid[1]}")]
        words = {word.strip(".:,") for word in WORD.findall(text)}
        quoted = {match[1].strip() for match in _QUOTED.finditer(text)}
        return [name for name in self.all if _is_said(str(name.value), name.kind, words, quoted)]

    def texts(self) -> Iterator[str]:
        """All of them as text."""
        return (str(name.value) for name in self.all)

    def _values(self, named_by: Field[Any, str | None]) -> list[str]:
        kind, column = kind_of(named_by.__objclass__), name_of(named_by)
        if not self._reader.holds(kind.table):
            return []
        relation, params = self._reader.relation(kind.table, self._when.start_ns, self._when.end_ns, [column])
        text = f"SELECT DISTINCT {column} FROM {relation} AS named WHERE {column} IS NOT NULL"  # noqa: S608 - our names
        return [str(name) for (name,) in self._reader.tuples(text, params)]


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
