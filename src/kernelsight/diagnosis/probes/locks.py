"""Threads that wait for a lock, however short."""

from kernelsight.diagnosis.probe import Price, Probe

PROBE = Probe(
    asks="where locks are wanted and held: threads that wait for one for 1 ms instead of 10 ms, with their stacks",
    part="lock",
    shows="lock_waits",
    likened_to="lock_waits",
    seconds=6,
    price=Price(0.02, "benchmarks/probes.py, the most of five rounds beside threads that wait for a lock"),
    missing="where CULPRIT wants its lock",
    options={"lock_threshold_ms": "1"},
)
