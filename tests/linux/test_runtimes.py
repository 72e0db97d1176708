"""Threads that collect garbage are known by their names."""

import pytest

from kernelsight.linux.runtimes import collects_garbage


@pytest.mark.parametrize(
    "thread", ["GC Thread#0", "G1 Conc#1", "G1 Main Marker", "VM Thread", "ZDriverMajor", "Shenandoah GC ", ".NET BGC"]
)
def test_a_thread_of_a_collector_is_known(thread):
    assert collects_garbage(thread.encode().ljust(16, b"\0"))


@pytest.mark.parametrize("thread", ["java", "C2 CompilerThre", "VM Periodic Tas", "http-nio-8080", "GCalendar", "node"])
def test_other_threads_are_none(thread):
    assert not collects_garbage(thread.encode().ljust(16, b"\0"))
