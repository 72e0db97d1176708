"""Stacks of running threads, five times as many as always."""

from kernelsight.diagnosis.probe import Price, Probe

PROBE = Probe(
    asks="which functions compute: stacks 99 times a second on every CPU instead of 19 times",
    part="cpu",
    shows="stack_samples",
    likened_to="stacks",
    seconds=6,
    price=Price(0.97, "benchmarks/probes.py, the median of five rounds beside a program that computes"),
    missing="the function that CULPRIT computes in",
    culprits=frozenset({"process", "program", "cgroup"}),
    options={"stack_hz": "99"},
)
