"""Where programs take memory: stacks of page faults."""

from kernelsight.diagnosis.probe import Price, Probe

PROBE = Probe(
    asks="which functions take memory: the stack of every 97th page fault on each CPU",
    part="memory",
    shows="fault_stacks",
    likened_to="stacks",
    seconds=6,
    price=Price(1.03, "benchmarks/probes.py, the median of five rounds beside a program that faults all the time"),
    missing="the function in which CULPRIT takes its memory",
    culprits=frozenset({"process", "program", "cgroup"}),
    collectors=("fault_stacks",),
)
