"""What is found out about a machine, and what it is taken to mean."""

from __future__ import annotations

import os

import pytest

from kernelsight.collectors import privileges
from kernelsight.collectors.base import Availability, Host, registered
from kernelsight.collectors.bpf import probe
from kernelsight.collectors.capabilities import Examination, examine, find_facts

needs_bpf = pytest.mark.skipif(bool(privileges.missing(privileges.BPF)), reason="loads programs into the kernel")


@pytest.fixture(scope="module")
def here():
    return examine(Host())


def facts(**roots):
    return {fact.name: fact for fact in find_facts(Host(**roots))}


def test_every_fact_that_does_not_hold_and_can_be_helped_says_how(here):
    found = {fact.name: fact for fact in here.facts}
    assert found["kernel"].says == f"{os.uname().release} {os.uname().machine}"
    assert all(fact.says for fact in here.facts)
    assert not [fact for fact in here.facts if fact.works and fact.remedy]
    assert all("\n" not in fact.says + fact.remedy for fact in here.facts)


def test_one_source_of_each_collector_that_can_run_is_used_and_it_is_the_best(here):
    for name, entries in registered().items():
        listed = [one for one in here.sources if one.registered.name == name]
        assert [one.registered for one in listed] == list(entries)
        running = [one for one in listed if one.available]
        assert [one for one in listed if one.used] == running[:1]


def test_what_is_missing_are_collectors_of_which_no_source_runs():
    tcp, perf = registered()["tcp"], registered()["perf"]
    sources = [
        Availability(tcp[0], available=False, reason="no"),
        Availability(tcp[1], available=True, used=True),
        Availability(perf[0], available=False, reason="no"),
    ]
    assert Examination((), tuple(sources)).missing == ("perf",)
    assert Examination((), tuple(sources[:2])).missing == ()


@needs_bpf
def test_the_programs_that_every_tracer_needs_are_seen_to_run():
    for kind in ("btf_tracepoint", "ring_buffer", "task_storage", "iterator"):
        probe.attempt(kind)


@needs_bpf
def test_where_functions_cannot_be_traced_it_is_said_what_is_done_instead(here):
    found = {fact.name: fact for fact in here.facts}
    for kind in ("fentry", "kprobe"):
        fact = found[probe.SERVES[kind]]
        assert fact.works or "the tracers use tracepoints or perf events instead" in fact.says


def test_a_locked_kernel_is_said_with_its_remedy(tmp_path):
    (tmp_path / "kernel/security").mkdir(parents=True)
    lockdown = tmp_path / "kernel/security/lockdown"
    lockdown.write_text("none integrity [confidentiality]\n")
    fact = facts(sys=tmp_path)["kernel lockdown"]
    assert (fact.works, fact.remedy) == (False, "boot with lockdown=integrity")
    lockdown.write_text("none [integrity] confidentiality\n")
    assert facts(sys=tmp_path)["kernel lockdown"].says == "integrity"
    lockdown.unlink()
    assert facts(sys=tmp_path)["kernel lockdown"].works is None


def test_settings_are_shown_and_what_is_absent_is_named(tmp_path):
    settings = tmp_path / "sys/kernel"
    settings.mkdir(parents=True)
    (settings / "perf_event_paranoid").write_text("3\n")
    (settings / "task_delayacct").write_text("0\n")
    found = facts(proc=tmp_path)
    assert found["kernel.perf_event_paranoid"].says.startswith("3 ")
    assert found["kernel.unprivileged_bpf_disabled"].says == "this kernel does not have it"
    assert (found["delay accounting"].works, found["delay accounting"].remedy) == (
        False,
        "sudo sysctl kernel.task_delayacct=1",
    )
    assert not found["pressure stall information"].works
    assert "psi=1" in found["pressure stall information"].remedy
    assert not found["control groups"].works
    (settings / "task_delayacct").write_text("1\n")
    assert facts(proc=tmp_path)["delay accounting"].works


def test_tracefs_that_may_not_be_read_is_mounted_all_the_same(tmp_path):
    assert "mount -t tracefs" in facts(sys=tmp_path)["tracefs"].remedy
    (tmp_path / "kernel/tracing/events").mkdir(parents=True)
    assert facts(sys=tmp_path)["tracefs"].works


def test_the_capabilities_are_those_of_this_process():
    lacking = privileges.missing((*privileges.BPF, *privileges.OTHERS_PROCESSES))
    fact = facts()["capabilities"]
    assert fact.works == (not lacking)
    assert fact.says.startswith(f"user {os.geteuid()} has ")
    assert all(one.name in fact.says for one in lacking)
