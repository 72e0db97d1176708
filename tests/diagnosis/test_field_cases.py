"""Cases as bug reports of other tools describe them, through the daemon into a store: class, culprit, or healthy.

Beside the cases themselves stand machines of the same kinds under other names and numbers (`field_machines`), ill
and well.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import field_machines
import pytest
import zstandard
from field_machines import PAIRS, Machine

from empty_store import empty_store
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.diagnosis.model import Diagnosis
from kernelsight.events.signal import Signal
from kernelsight.ingest import daemon
from kernelsight.signals.registry import rules
from kernelsight.signals.run import classify
from kernelsight.stores.base import open_reader

CASES = Path(__file__).parents[1] / "fixtures/cases"


@dataclass(frozen=True)
class Answer:
    """What is said of a stretch of telemetry."""

    diagnosis: Diagnosis
    signals: list[Signal]

    @property
    def faults(self) -> list[tuple[str, str]]:
        return [(finding.fault, finding.culprit.name) for finding in self.diagnosis.findings]

    @property
    def critical(self) -> list[str]:
        return [f"{signal.rule}: {signal.summary}" for signal in self.signals if signal.severity == "critical"]

    @property
    def text(self) -> str:
        findings = self.diagnosis.findings
        steps = [step.claim for finding in findings for step in finding.path]
        return "\n".join((*steps, *(action.text for finding in findings for action in finding.actions)))


def asked(folder: Path, lines: bytes) -> Answer:
    """Store what the lines say, and ask about all of their time."""
    source, store = folder / "lines", str(folder / "k.db")
    source.write_bytes(lines)
    Path(store).write_bytes(empty_store())
    descriptor = os.open(source, os.O_RDONLY)
    try:
        assert daemon.run(descriptor, store, daemon.Settings(), io.StringIO()) == 0
    finally:
        os.close(descriptor)
    stamps = [json.loads(line)["timestamp"] for line in lines.splitlines()]
    start, end = min(stamps), max(stamps) + 1
    diagnosis = diagnose(store, start, end)
    assert check(store, diagnosis) == []
    reader = open_reader(store)
    try:
        return Answer(diagnosis, list(classify(reader, rules(), start, end)))
    finally:
        reader.close()


def recorded(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((CASES / f"{name}.ndjson.zst").read_bytes(), max_output_size=1 << 24)


def lines_of(rows: Iterable[field_machines.Row]) -> bytes:
    ordered = sorted(rows, key=lambda row: row["timestamp"])
    return b"".join(json.dumps(row).encode() + b"\n" for row in ordered)


ILL = {
    "inotify_instances_emfile": ("kernel_limit", "fs.inotify.max_user_instances"),
    "conntrack_full": ("kernel_limit", "net.netfilter.nf_conntrack_max"),
    "zombies_fill_pids_max": ("task_limit", "pikoci"),
    "slab_grows": ("dentry_or_slab_growth", "slab, the kernel's own memory"),
    "steal_40_percent": ("cpu_steal", "hypervisor"),
}
WELL = (
    "cfs_throttling_at_low_use",
    "hugepages_reserved",
    "io_uring_idle_iowait",
    "cpu_softirq_back_by_3",
    "clock_steps_back_5s_phase_late",
    "in_flight_underflow",
)


@pytest.mark.parametrize("name", ILL)
def test_a_case_of_a_fault_is_named_by_class_and_culprit_and_nothing_else_is(tmp_path, name):
    assert asked(tmp_path, recorded(name)).faults == [ILL[name]]


@pytest.mark.parametrize("name", WELL)
def test_a_machine_that_only_looks_ill_is_healthy(tmp_path, name):
    answer = asked(tmp_path, recorded(name))
    assert answer.diagnosis.healthy
    assert answer.faults == []
    assert answer.critical == []


def test_who_fails_at_a_limit_is_a_victim_and_the_remedy_names_the_limit(tmp_path):
    answer = asked(tmp_path, recorded("inotify_instances_emfile"))
    assert [victim.name for victim in answer.diagnosis.findings[0].victims] == ["promtail"]
    assert "fs.inotify.max_user_instances" in answer.text
    assert "22 of 1048576" in answer.text


KINDS = {
    field_machines.inotify_instances: "kernel_limit",
    field_machines.connection_table: "kernel_limit",
    field_machines.zombies: "task_limit",
    field_machines.slab: "dentry_or_slab_growth",
    field_machines.steal: "cpu_steal",
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_kind_is_found_under_other_names_and_numbers_and_not_where_the_limit_is_not_reached(tmp_path, kind, seed):
    (tmp_path / "well").mkdir()
    ill = asked(tmp_path, lines_of(kind(Machine(seed), ill=True)))
    assert [fault for fault, _ in ill.faults] == [KINDS[kind]]
    well = asked(tmp_path / "well", lines_of(kind(Machine(seed), ill=False)))
    assert well.faults == []
    assert well.diagnosis.healthy
    assert well.critical == []


@pytest.mark.parametrize("seed", range(len(PAIRS)), ids=lambda seed: " ".join(map(str, PAIRS[seed][:2])))
def test_the_call_and_its_error_say_which_limit_is_met(tmp_path, seed):
    answer = asked(tmp_path, lines_of(field_machines.call_at_limit(Machine(seed), ill=True)))
    assert [fault for fault, _ in answer.faults] == ["kernel_limit"]
    assert PAIRS[seed][3] in answer.text


LOUD = {
    field_machines.throttled: "cgroup_throttled",
    field_machines.huge_pages: "memory_available_low",
    field_machines.idle_io_uring: "blocked_call",
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", LOUD, ids=lambda kind: kind.__name__)
def test_a_signal_is_critical_where_somebody_is_harmed_and_not_where_it_only_looks_so(tmp_path, kind, seed):
    (tmp_path / "well").mkdir()
    ill = asked(tmp_path, lines_of(kind(Machine(seed), ill=True)))
    assert LOUD[kind] in [signal.rule for signal in ill.signals if signal.severity == "critical"]
    well = asked(tmp_path / "well", lines_of(kind(Machine(seed), ill=False)))
    assert well.critical == []
    assert well.faults == []
    assert well.diagnosis.healthy
