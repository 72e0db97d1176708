"""What can be made of a profile: text, JSON, a flame graph, files for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kernelsight.events.stack import StackSample
from kernelsight.printable import printable
from kernelsight.profiles import text
from kernelsight.profiles.difference import differences
from kernelsight.profiles.flame import flame_graph
from kernelsight.profiles.folded import folded
from kernelsight.profiles.pprof import pprof
from kernelsight.profiles.profile import Profile
from kernelsight.profiles.subjects import pids_in_cgroup, pids_of_service
from kernelsight.query.filters import Filter
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader


def conditions_of(  # noqa: PLR0913 - one argument for each way to say whose samples are wanted
    reader: Reader,
    when: TimeRange,
    *,
    pid: int | None = None,
    comm: str | None = None,
    cgroup: str | None = None,
    service: str | None = None,
) -> list[Filter[StackSample]]:
    """The conditions on `stack_samples` for what a person named.

    Raises:
        UsageError: there is no such control group or service in the window.
    """
    wanted: list[Filter[StackSample]] = []
    if pid is not None:
        wanted.append(Filter(StackSample.pid, "=", pid))
    if comm is not None:
        wanted.append(Filter(StackSample.comm, "=", comm))
    if cgroup is not None:
        wanted.append(Filter(StackSample.pid, "=", pids_in_cgroup(reader, when, cgroup)))
    if service is not None:
        wanted.append(Filter(StackSample.pid, "=", pids_of_service(reader, when, service)))
    return wanted


def titled(*, pid: int | None, comm: str | None, cgroup: str | None, service: str | None) -> str:
    """Whose samples they are, for a heading."""
    named = (("process", pid), ("name", comm), ("cgroup", cgroup), ("service", service))
    return ", ".join(f"{what} {printable(str(who))}" for what, who in named if who is not None) or "all processes"


def lines(profile: Profile, earlier: Profile | None, most: int) -> Iterator[str]:
    """The profile, or how it differs from an earlier one, as text."""
    if earlier is None:
        return text.report(profile, most)
    return text.compared(earlier, profile, differences(earlier, profile), most)


def told(profile: Profile, earlier: Profile | None, most: int) -> dict[str, Any]:
    """The same as plain data; shares are from 0 to 1."""
    samples = max(profile.samples, 1)
    answer: dict[str, Any] = {
        "start_ns": profile.start_ns,
        "end_ns": profile.end_ns,
        "samples": profile.samples,
        "cpu_ns": profile.cpu_ns,
        "functions": [
            {
                "function": share.name.function,
                "where": share.name.where,
                "is_known": share.name.is_known,
                "samples": share.samples,
                "share": share.samples / samples,
                "total_share": share.total / samples,
            }
            for share in profile.functions()[:most]
        ],
        "paths": [
            {"comm": path.comm, "samples": path.samples, "functions": [name.text for name in path.names]}
            for path in profile.paths[:most]
        ],
        "unknown": list(profile.unknown),
    }
    if earlier is not None:
        answer["changes"] = [
            {
                "function": change.name.function,
                "where": change.name.where,
                "before": change.before,
                "after": change.after,
                "is_sure": change.is_sure,
            }
            for change in differences(earlier, profile)[:most]
        ]
    return answer


__all__ = ["conditions_of", "flame_graph", "folded", "lines", "pprof", "titled", "told"]
