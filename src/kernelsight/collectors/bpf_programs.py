"""What our own BPF programs cost: run time and memory, from /proc/self/fdinfo (kernel/bpf/syscall.c, show_fdinfo)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kernelsight.collectors import privileges
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.libbpf import living
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import number
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.bpf_program import BpfProgram

_EVERY_NS = 30 * NS_PER_S
_READ = frozenset({b"prog_id", b"memlock", b"run_cnt", b"run_time_ns"})
"""The lines that are read; others, such as `map_extra: 0x0`, are no decimal numbers."""
_LEAST_WINDOW_NS = NS_PER_S // 10


class Account(NamedTuple):
    """What the kernel says of one program or map."""

    id: int | None
    """The program's; None of a map."""
    bytes: int
    runs: int
    run_ns: int


@dataclass(slots=True)
class _Program:
    """What is known of the programs of one name, which several collectors may have loaded."""

    bytes: int = 0
    maps_bytes: int = 0
    runs: int = 0
    run_ns: int = 0


def parse_fdinfo(text: bytes) -> Account:
    """Read lines such as ``memlock: 4096``; what a kernel does not report is 0, and None of the id."""
    rows = (line.partition(b":") for line in text.splitlines())
    values = {name: number(value.strip()) for name, _, value in rows if name in _READ}
    runs, run_ns = values.get(b"run_cnt") or 0, values.get(b"run_time_ns") or 0
    return Account(values.get(b"prog_id"), values.get(b"memlock") or 0, runs, run_ns)


@collector(source="fdinfo", emits=(BpfProgram,))
class BpfProgramsCollector:
    """Run time and memory of the collectors' own BPF programs, every 30 s; run times of one second in thirty."""

    def __init__(self, host: Host) -> None:
        self._folder = host.proc / "self/fdinfo"
        if not self._folder.is_dir():
            raise SourceUnavailableError(f"{self._folder}: no such directory; is /proc mounted?")
        self._monotonic_ns = host.monotonic_ns
        self._statistics = host.bpf_statistics
        self._always_on = number(read_once(host.proc / "sys/kernel/bpf_stats_enabled") or b"") == 1
        self.limitations: list[str] = []
        may_load = not privileges.missing(privileges.BPF)  # else there are no programs to tell of
        lacking = privileges.missing([privileges.Capability.CAP_SYS_ADMIN])
        if may_load and lacking and self._statistics is None and not self._always_on:
            self.limitations.append(
                "run times: not measured without CAP_SYS_ADMIN at the start, or kernel.bpf_stats_enabled; run as root"
            )
        self._told_at = host.monotonic_ns() - _EVERY_NS
        self._read_at = host.monotonic_ns()
        self._before: dict[int, Account] = {}
        self._programs()  # what ran before

    def collect(self, now: int) -> list[BpfProgram]:
        """Every program, when its run time was measured, or after 30 s."""
        moment = self._monotonic_ns()
        window = self._statistics.take() if self._statistics else None
        if window is None and moment - self._told_at < _EVERY_NS:
            return []
        measured_ns = moment - self._read_at if self._always_on else window.end_ns - window.start_ns if window else 0
        self._told_at = self._read_at = moment
        return [
            _told(now, *place, program, measured_ns if measured_ns >= _LEAST_WINDOW_NS else None)
            for place, program in self._programs().items()
        ]

    def close(self) -> None:
        """Nothing is open."""

    def _programs(self) -> dict[tuple[str, str], _Program]:
        """All programs by object and name, with what they ran since this was asked last."""
        before, self._before = self._before, {}
        programs: dict[tuple[str, str], _Program] = {}
        for loaded in living():
            maps_bytes = sum(account.bytes for account in map(self._account, loaded.map_fds) if account)
            for name, fd in loaded.program_fds.items():
                account = self._account(fd)
                if account is None or account.id is None:
                    continue
                self._before[account.id] = account
                known = before.get(account.id)
                program = programs.setdefault((loaded.name, name), _Program())
                program.bytes += account.bytes
                program.maps_bytes += maps_bytes
                program.runs += max(account.runs - (known.runs if known else 0), 0)
                program.run_ns += max(account.run_ns - (known.run_ns if known else 0), 0)
        return programs

    def _account(self, fd: int) -> Account | None:
        text = read_once(self._folder / str(fd))
        return parse_fdinfo(text) if text else None


def _told(now: int, loaded: str, name: str, program: _Program, measured_ns: int | None) -> BpfProgram:
    event = BpfProgram(now, loaded, name, program_bytes=program.bytes, maps_bytes=program.maps_bytes)
    if measured_ns is not None:
        event.measured_ns = measured_ns
        event.runs_per_s = program.runs * NS_PER_S / measured_ns
        event.run_ns_per_s = program.run_ns * NS_PER_S / measured_ns
        event.ns_per_run = program.run_ns / program.runs if program.runs else None
    return event
