"""Interrupts: those sources have rows that raise many, and the tables of all kernels are understood."""

import pytest
from moments import Moments
from recordings import NOW

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.procfs.interrupt import Line, parse_interrupts
from kernelsight.errors import SourceUnavailableError

SECOND = 1_000_000_000
INTERRUPTS = b"""           CPU0       CPU2
  9:         %d         50   IO-APIC   9-fasteoi   acpi
LOC:       4000       %d   Local timer interrupts
ERR:          7
MIS:          0
"""
SOFTIRQS = b"""                    CPU0       CPU2
      TIMER:         10         20
     NET_RX:         %d         30
"""


@pytest.fixture
def machine(tmp_path):
    class Machine:
        def __init__(self):
            self.moments = Moments()
            self.says(0, 0, 0)
            self.entry, self.collector = open_best("interrupt", Host(proc=tmp_path, monotonic_ns=self.moments))

        def says(self, acpi, ticks, packets):
            (tmp_path / "interrupts").write_bytes(INTERRUPTS % (acpi, ticks))
            (tmp_path / "softirqs").write_bytes(SOFTIRQS % packets)

        def rows(self, second):
            found = self.collector.collect(self.moments.at(NOW + second * SECOND))
            return [(row.source, row.cpu, row.origin, row.device, row.raised) for row in found]

    made = Machine()
    yield made
    made.collector.close()


def test_a_source_has_rows_while_it_raises_many_on_a_cpu_and_one_after_that(machine):
    assert machine.rows(0) == []
    machine.says(1000, 500, 100)
    assert machine.rows(1) == [], "no more than usual"
    machine.says(101_000, 600, 300)
    acpi = ("9", 0, "device", "IO-APIC 9-fasteoi acpi")
    assert machine.rows(2) == [(*acpi, 101_000)]
    machine.says(201_000, 10_600, 40_300)
    assert machine.rows(3) == [
        (*acpi, 201_000),
        ("NET_RX", 0, "softirq", None, 40_300),
        ("LOC", 2, "processor", "Local timer interrupts", 10_600),
    ]
    machine.says(201_010, 10_700, 40_400)
    assert {(source, raised) for source, *_, raised in machine.rows(4)} == {
        ("9", 201_010),
        ("NET_RX", 40_400),
        ("LOC", 10_700),
    }
    assert machine.rows(5) == []


def test_a_cpu_that_goes_and_comes_is_told_by_its_number():
    (cpus, line), *others = parse_interrupts("/proc/interrupts", INTERRUPTS % (1, 2))
    assert (cpus, line) == ((0, 2), Line("9", "device", "IO-APIC 9-fasteoi acpi", (1, 50)))
    assert [line.source for _, line in others] == ["LOC"], "errors are not counted by CPU"


@pytest.mark.parametrize("text", [b"", b"\n", b"a b\n", b"CPUx\n 9: 1\n"])
def test_another_text_is_refused(text):
    with pytest.raises(SourceUnavailableError, match="/proc/interrupts"):
        list(parse_interrupts("/proc/interrupts", text))


@pytest.mark.parametrize("line", [b"9", b"9:", b"9: x y", b"9: 1", b"\x00\xff: 1 2 3", b": 1 2"])
def test_a_line_that_cannot_be_read_stands_for_itself(line):
    found = [one for _, one in parse_interrupts("/proc/interrupts", b"CPU0 CPU1\n" + line + b"\n10: 3 4 ok\n")]
    assert found[-1] == Line("10", "device", "ok", (3, 4))


def test_the_tables_of_this_machine_are_understood():
    _, collector = open_best("interrupt", Host())
    assert collector.collect(NOW) == []
    collector.close()
    collector.close()
