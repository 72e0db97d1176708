"""Whose samples are asked for: a process, a control group with all below it, or a service by its name."""

from __future__ import annotations

from kernelsight.errors import UsageError
from kernelsight.events.declare import kind_of
from kernelsight.events.process import Process
from kernelsight.linux.services import service_of
from kernelsight.query.dialect import Sql, run
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_MOST = 5000


def pids_in_cgroup(reader: Reader, when: TimeRange, path: str) -> list[int]:
    """The processes of a control group and those below it, as `process_stats` of the window has them.

    Raises:
        UsageError: it has none.
    """
    wanted = "/" + path.removeprefix("/sys/fs/cgroup").strip("/")
    pids = [
        pid for pid, group in _processes(reader, when) if f"{group.rstrip('/')}/".startswith(f"{wanted.rstrip('/')}/")
    ]
    return _some(pids, f"the control group {wanted}")


def pids_of_service(reader: Reader, when: TimeRange, name: str) -> list[int]:
    """The processes of a unit of systemd, a container or a pod; a unit with or without `.service`.

    Raises:
        UsageError: it has none.
    """
    pids = []
    for pid, group in _processes(reader, when):
        service = service_of(group)
        if service is None:
            continue
        container = (service.container or "").split(" ")[-1]
        if name in {
            service.unit,
            (service.unit or "").removesuffix(".service"),
            service.container,
            container,
            service.pod,
        }:
            pids.append(pid)
    return _some(pids, f"the service {name}")


def _processes(reader: Reader, when: TimeRange) -> list[tuple[int, str]]:
    relation, params = reader.relation(kind_of(Process).table, when.start_ns, when.end_ns)
    rows = run(reader, Sql(f"SELECT DISTINCT pid, cgroup FROM {relation} AS seen WHERE cgroup IS NOT NULL", params))
    return [
        (row["pid"], row["cgroup"]) for row in rows if isinstance(row["pid"], int) and isinstance(row["cgroup"], str)
    ]


def _some(pids: list[int], whose: str) -> list[int]:
    if not pids:
        raise UsageError(f"no process of {whose} was recorded in this window; `kernelsight query top` lists processes")
    return sorted(set(pids))[:_MOST]
