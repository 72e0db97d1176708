"""What a machine has: the charts of the first page."""

from kernelsight.events.block import Block
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.pressure import Pressure
from kernelsight.events.scheduler import Cpu
from kernelsight.query.filters import Filter
from kernelsight.surfaces.web.chart import Chart, Line, chart

_NOW = "now"

chart(
    Chart(
        "pressure",
        "Pressure",
        "Share of the time in which tasks stalled for want of a resource (pressure stall information).",
        Pressure,
        (Line("some", (Pressure.some_total_us,)), Line("full", (Pressure.full_total_us,))),
        "%",
        _NOW,
        only=(Filter(Pressure.scope, "=", "system"),),
        per=(Pressure.resource,),
        percent=True,
        rank=1,
    )
)
chart(
    Chart(
        "cpu",
        "CPU",
        "What all CPUs together spend their time on.",
        Cpu,
        (
            Line("user", (Cpu.user, Cpu.nice)),
            Line("system", (Cpu.system,)),
            Line("interrupts", (Cpu.irq, Cpu.softirq)),
            Line("steal", (Cpu.steal,)),
            Line("I/O wait", (Cpu.iowait,)),
        ),
        "%",
        _NOW,
        only=(Filter(Cpu.cpu, "=", -1),),
        out_of=(Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal),
        stacked=True,
        rank=2,
    )
)
chart(
    Chart(
        "memory",
        "Memory",
        "Memory that programs and the kernel cannot give up at once, the page cache, and what is written to swap.",
        Memory,
        (
            Line("used", (Memory.mem_total_kb,), (Memory.mem_available_kb,)),
            Line("page cache", (Memory.cached_kb, Memory.buffers_kb)),
            Line("dirty", (Memory.dirty_kb, Memory.writeback_kb)),
            Line("swap used", (Memory.swap_total_kb,), (Memory.swap_free_kb,)),
            Line("total", (Memory.mem_total_kb,)),
        ),
        "B",
        _NOW,
        rank=3,
    )
)
chart(
    Chart(
        "disk",
        "Disk",
        "Bytes that each block device reads and writes.",
        Block,
        (Line("read", (Block.read_sectors,)), Line("write", (Block.write_sectors,))),
        "B/s",
        _NOW,
        per=(Block.device_name,),
        rank=4,
    )
)
chart(
    Chart(
        "network",
        "Network",
        "Bytes that each interface receives and sends.",
        Network,
        (Line("received", (Network.rx_bytes,)), Line("sent", (Network.tx_bytes,))),
        "B/s",
        _NOW,
        per=(Network.interface_name,),
        rank=5,
    )
)
