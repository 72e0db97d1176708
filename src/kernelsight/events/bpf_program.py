"""What the BPF programs of the collectors cost the machine."""

from typing import Annotated

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Real, Text, event


@event(
    table="bpf_programs",
    source="kernelsight collect: /proc/self/fdinfo, with run times where BPF statistics may be switched on",
    entity=("object", "program"),
    indexes=(("object", "timestamp"),),
    interval_s=30.0,
    matters=("run_ns_per_s",),
)
class BpfProgram(Event, tag="bpf_program"):
    """One BPF program of the collectors: how often it runs, how long a run takes, and its memory."""

    object: Annotated[Text | None, Label(), Means("compiled object that it belongs to, such as threads")] = None
    program: Annotated[Text | None, Label(), Means("its name, which says what it is attached to")] = None
    runs_per_s: Annotated[Real | None, Gauge("runs/s"), Means("while run times were measured")] = None
    ns_per_run: Annotated[Real | None, Gauge("ns"), Means("mean; with the measurement itself, some 50 ns")] = None
    run_ns_per_s: Annotated[Real | None, Gauge("ns/s"), Means("time on all CPUs in which it ran")] = None
    measured_ns: Annotated[
        Int | None, Gauge("ns"), Means("how long run times were measured; NULL: they were not, as it costs some")
    ] = None
    program_bytes: Annotated[Int | None, Gauge("B"), Means("memory of its instructions")] = None
    maps_bytes: Annotated[
        Int | None, Gauge("B"), Means("memory of the maps of its object, which its programs share")
    ] = None
