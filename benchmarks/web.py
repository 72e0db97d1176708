"""What the web pages cost, measured with a real browser over days of data.

Prints one JSON object: milliseconds from the start of a load of the first page to its first chart, and of a zoom to the
last chart of the page; and what the server uses while three viewers are live. The store is made here, with one sample
a second of a quiet machine with two CPUs, a disk and two interfaces.

    python benchmarks/web.py --days 7
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright

from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.pressure import Pressure
from kernelsight.events.scheduler import Cpu
from kernelsight.stores.base import Batch, Writer, open_writer

SECOND = 1_000_000_000
CHARTS = 5
_TIMES = 5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FIRST = "document.querySelectorAll('section.chart .uplot').length"


class Machine:
    """A quiet machine with something to see every two hours."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._sums: dict[str, int] = {}

    def _grown(self, name: str, amount: float) -> int:
        self._sums[name] = self._sums.get(name, 0) + int(amount)
        return self._sums[name]

    def second(self, at_ns: int, second: int) -> list[Event]:
        chance = self._random.random
        busy = 0.2 + 0.15 * math.sin(second / 13_751) + 0.1 * chance() + (0.5 if second % 7_200 < 20 else 0.0)
        events: list[Event] = []
        for cpu, share in ((-1, 200), (0, 100), (1, 100)):
            user = self._grown(f"user{cpu}", share * busy)
            idle = self._grown(f"idle{cpu}", share * (1 - busy))
            events.append(
                Cpu(at_ns, cpu=cpu, user=user, nice=0, system=user // 4, idle=idle, iowait=0, irq=0, softirq=0, steal=0)
            )
        available = int(5e6 + 1e6 * math.sin(second / 20_000) + 1e5 * chance())
        events.append(
            Memory(at_ns, mem_total_kb=8_000_000, mem_free_kb=1_500_000, mem_available_kb=available, buffers_kb=100_000,
                   cached_kb=2_500_000, swap_total_kb=0, swap_free_kb=0, dirty_kb=int(20_000 * chance()),
                   writeback_kb=0)
        )  # fmt: skip
        for resource in ("cpu", "memory", "io"):
            some = self._grown(resource, 20_000 * chance())
            events.append(
                Pressure(at_ns, resource=resource, scope="system", some_total_us=some, full_total_us=some // 2)
            )
        read, written = self._grown("read", 2_000 * chance()), self._grown("written", 4_000 * chance())
        events.append(Block(at_ns, device_name="vda", read_sectors=read, write_sectors=written, io_ticks=read // 20))
        for name, factor in (("eth0", 1), ("lo", 3)):
            received = self._grown(name, 2e5 * factor * chance())
            events.append(Network(at_ns, interface_name=name, rx_bytes=received, tx_bytes=received // 2))
        return events


def write(writer: Writer, events: list[Event]) -> None:
    batch = Batch()
    for event in events:
        batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
    assert not writer.write(batch)


def recorded(path: str, days: float, machine: Machine) -> Writer:
    """A store of so many days that end now; its writer goes on."""
    writer = open_writer(path)
    seconds = int(days * 86_400)
    start_ns = time.time_ns() // SECOND * SECOND - seconds * SECOND
    events: list[Event] = []
    for second in range(seconds):
        events += machine.second(start_ns + second * SECOND, second)
        if len(events) >= 20_000:
            write(writer, events)
            writer.maintain(budget_s=0.2)
            events = []
    write(writer, events)
    return writer


def go_on(writer: Writer, machine: Machine, ends: threading.Event) -> None:
    """A sample a second, as a daemon stores them."""
    while not ends.wait(1.0 - time.time() % 1.0):
        at_ns = time.time_ns() // SECOND * SECOND
        write(writer, machine.second(at_ns, at_ns // SECOND))


def first_chart_ms(browser: Browser, address: str) -> float:
    page = browser.new_page()
    page.goto(address, wait_until="commit")
    page.locator("section.chart .uplot").first.wait_for()
    began = page.evaluate("performance.timeOrigin")
    taken = page.evaluate(
        "performance.getEntriesByName('first-chart')[0]?.startTime ?? (Date.now() - performance.timeOrigin)"
    )
    assert began > 0
    page.close()
    return float(taken)


ZOOM = """([from, to]) => new Promise((done) => {
  const began = performance.now();
  const busy = () => document.querySelectorAll('section.chart[aria-busy=true]').length;
  window.dispatchEvent(new CustomEvent('show-range', {detail: {from, to}}));
  const look = () => (busy() === 0 ? done(performance.now() - began) : requestAnimationFrame(look));
  requestAnimationFrame(look);
})"""


def zooms(page: Page, days: float, server: int) -> dict[str, dict[str, float]]:
    """From asking for a range to the last of its charts, and the CPU time that the server needs for it."""
    now = time.time() * 1000
    lengths = {"7d": 7 * 86_400e3, "1d": 86_400e3, "6h": 6 * 3_600e3, "1h": 3_600e3, "5m": 300e3}
    taken: dict[str, dict[str, float]] = {}
    for name, length in lengths.items():
        if length <= days * 86_400e3 + 1:
            several, before = [], cpu_s(server)
            for again in range(_TIMES):
                end = now - 60e3 - again * length * 0.01
                several.append(page.evaluate(ZOOM, [end - length, end]))
            used = (cpu_s(server) - before) / _TIMES
            taken[name] = {"ms": round(statistics.median(several), 1), "server_cpu_ms": round(1000 * used)}
    return taken


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional size."""
    sizes = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    )
    return tuple(round(int(sizes[name].split()[0]) / 1024, 1) for name in ("Rss", "Pss"))  # type: ignore[return-value]


def measured(arguments: argparse.Namespace, directory: Path) -> dict[str, object]:
    machine, path = Machine(), str(directory / "days.db")
    writer = recorded(path, arguments.days, machine)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "kernelsight", "serve", "--db-path", path, "--port", str(port)], stderr=subprocess.PIPE
    )
    ends = threading.Event()
    goes_on = threading.Thread(target=go_on, args=(writer, machine, ends))
    goes_on.start()
    try:
        assert server.stderr is not None
        server.stderr.readline()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            address = f"http://127.0.0.1:{port}/"
            first = [first_chart_ms(browser, f"{address}?since={round(arguments.days)}d") for _ in range(5)]
            page = browser.new_page()
            page.goto(f"{address}?since=1h")
            page.locator("section.chart .uplot").nth(CHARTS - 1).wait_for()
            zoomed = zooms(page, arguments.days, server.pid)
            page.close()
            viewers = [browser.new_page() for _ in range(3)]
            for viewer in viewers:
                viewer.goto(f"{address}?since=5m")
            time.sleep(5)
            before, began = cpu_s(server.pid), time.monotonic()
            time.sleep(arguments.live_s)
            share = (cpu_s(server.pid) - before) / (time.monotonic() - began)
            rss, pss = memory_mb(server.pid)
            browser.close()
    finally:
        ends.set()
        goes_on.join()
        writer.close()
        server.terminate()
        server.wait()
    return {
        "days": arguments.days,
        "first_chart_ms": {"first": round(first[0], 1), "median": round(statistics.median(first), 1)},
        "zoom": zoomed,
        "three_viewers_live": {"cpu_percent_of_a_core": round(100 * share, 2), "rss_mb": rss, "pss_mb": pss},
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=1.0, help="of data")
    parser.add_argument("--live-s", type=float, default=60.0, help="how long viewers are live")
    if shutil.which("chromium") is None:
        print("there is no chromium here (packages.debian)")
        return
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measured(parser.parse_args(), Path(directory)), indent=2))


if __name__ == "__main__":
    main()
