"""One process."""

from kernelsight.events.process import Process
from kernelsight.surfaces.web.chart import Chart, Line, chart

_PROCESS = "process"

chart(
    Chart(
        "process-cpu",
        "CPU",
        "CPU time, and time ready to run and waiting for a CPU, of all its threads; 100 % is one CPU.",
        Process,
        (
            Line("user", (Process.utime_ms,)),
            Line("system", (Process.stime_ms,)),
            Line("waits for a CPU", (Process.cpu_delay_ns,)),
            Line("waits for block I/O", (Process.blkio_delay_ns,)),
        ),
        "%",
        _PROCESS,
        of=Process.pid,
        percent=True,
        rank=61,
    )
)
chart(
    Chart(
        "process-memory",
        "Memory",
        "Resident memory, the anonymous part of it, and swap.",
        Process,
        (Line("resident", (Process.rss_kb,)), Line("anonymous", (Process.anon_kb,)), Line("swap", (Process.swap_kb,))),
        "B",
        _PROCESS,
        of=Process.pid,
        rank=62,
    )
)
chart(
    Chart(
        "process-io",
        "Storage",
        "Bytes that it reads from and writes to storage.",
        Process,
        (Line("read", (Process.read_bytes,)), Line("write", (Process.write_bytes,))),
        "B/s",
        _PROCESS,
        of=Process.pid,
        rank=63,
    )
)
chart(
    Chart(
        "process-switches",
        "Switches",
        "Times that it gave a CPU up by itself, and that it was made to.",
        Process,
        (Line("by itself", (Process.voluntary_switches,)), Line("made to", (Process.involuntary_switches,))),
        "1/s",
        _PROCESS,
        of=Process.pid,
        rank=64,
    )
)
chart(
    Chart(
        "process-descriptors",
        "Descriptors and threads",
        "Open file descriptors, sockets among them, and threads.",
        Process,
        (Line("descriptors", (Process.fds,)), Line("sockets", (Process.sockets,)), Line("threads", (Process.threads,))),
        "",
        _PROCESS,
        of=Process.pid,
        rank=65,
    )
)
