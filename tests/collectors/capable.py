"""`kernelsight collect` with chosen capabilities, as another user or as root, and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kernelsight.collectors.privileges import Capability
from kernelsight.events.collector import CollectorReport
from kernelsight.events.wire import decoder

NOBODY = 65534
PYTHON = [sys.executable, "-W", "error"]
COMMAND = [*PYTHON, "-m", "kernelsight"]
PATIENCE_S = 60


@dataclass
class Collected:
    """What a run printed."""

    code: int
    log: list[str]
    events: list = field(default_factory=list)
    reports: dict[str, CollectorReport] = field(default_factory=dict)


def parse(output: bytes, log: bytes, code: int) -> Collected:
    events = decoder().decode_lines(output)
    reports = {event.name: event for event in events if isinstance(event, CollectorReport)}
    return Collected(code, log.decode().splitlines(), events, reports)


def as_nobody(*capabilities: Capability) -> list[str]:
    """The words before a command that runs it as nobody, with exactly these capabilities."""
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    names = "".join(f",+{one.name.removeprefix('CAP_').lower()}" for one in capabilities)
    words = [*prefix, *(f"--{kind}=-all{names}" for kind in ("inh-caps", "ambient-caps", "bounding-set")), "--"]
    if subprocess.run([*words, *COMMAND, "version"], capture_output=True, check=False, timeout=PATIENCE_S).returncode:
        pytest.skip("nobody may not read this checkout or its interpreter")
    return words


def sets(status: str) -> dict[str, frozenset[Capability | int]]:
    """The capability sets in a /proc/PID/status, by their names there (`CapEff`, ...)."""
    found = re.findall(r"^(Cap\w+):\t([0-9a-f]+)$", status, re.MULTILINE)
    return {name: frozenset(bit for bit in range(64) if int(bits, 16) >> bit & 1) for name, bits in found}


def threads(pid: int) -> list[str]:
    """The status of every thread of a process."""
    return [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status")]
