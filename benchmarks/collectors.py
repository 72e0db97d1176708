"""What collecting costs: this program beside Debian's netdata, prometheus-node-exporter and atop.

    sudo python benchmarks/collectors.py            # about five minutes; prints JSON
    python benchmarks/collectors.py --alone         # without the others; needs no root

All run at 1 Hz with about 300 processes, of which every tenth moves a little. They are measured in
turns on the same machine, each alone while the others are stopped (SIGSTOP), several times; figures
are medians. CPU time is that of the whole process tree, ended children included. The others come
from apt when they are missing; their services are kept from starting, now and at the next boot, and
nothing is left running.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kernelsight.collectors import base, runner
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.wire import encode_lines
from workloads.processes import PROCESSES, count_processes, crowd, memory_mb, tree

PLAIN_SOURCES = {"procfs", "sysfs", "cgroupfs", "sock_diag"}
PACKAGES = {"netdata": "netdata-core", "prometheus-node-exporter": "prometheus-node-exporter", "atop": "atop"}
SERVICES = {
    "netdata": ("netdata",),
    "prometheus-node-exporter": ("prometheus-node-exporter",),
    "atop": ("atop", "atopacct", "atop-rotate.timer"),
}
POLICY = Path("/usr/sbin/policy-rc.d")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
TARGET = {"cpu_percent": 2.0, "pss_mb": 45.0}
TARGET_WITH_TRACERS = {"cpu_percent": 1.0, "pss_mb": 60.0}


# --- processes and what they use ---


def cpu_s(pid: int) -> float:
    """CPU time of a tree, ended children included."""
    ticks = 0
    for member in tree(pid):
        with suppress(OSError):
            text = Path(f"/proc/{member}/stat").read_text(errors="replace")
            ticks += sum(map(int, text[text.rindex(")") + 2 :].split()[11:15]))
    return ticks * TICK_S


@dataclass
class Subject:
    """One program that is measured."""

    name: str
    process: subprocess.Popen[bytes]
    scrape_port: int | None = None
    cpu: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)

    def signal(self, number: int) -> None:
        """Stop or continue all of it."""
        for member in tree(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(member, number)

    def end(self) -> None:
        """End all of it, gently first."""
        members = tree(self.process.pid)
        self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for member in members[1:]:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


def drain(process: subprocess.Popen[bytes]) -> None:
    """Read what a process writes, as ingestion would."""
    stream = process.stdout
    assert stream is not None
    while os.read(stream.fileno(), 1 << 20):
        pass
    stream.close()


# --- what is measured ---


def start_kernelsight(name: str, how: str) -> Subject:
    command = [sys.executable, __file__, "--collect", how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    threading.Thread(target=drain, args=(process,), daemon=True).start()
    return Subject(name, process)


def start_netdata(folder: Path) -> Subject:
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir(parents=True)
    config = folder / "netdata.conf"
    config.write_text(
        f"[global]\nrun as user = root\n[directories]\ncache = {folder}/cache\nlib = {folder}/lib\nlog = {folder}/log\n"
        "[web]\nbind to = 127.0.0.1:29999\n[statsd]\nenabled = no\n[plugins]\nstatsd = no\n"
    )
    command = ["netdata", "-D", "-c", str(config), "-P", str(folder / "pid")]
    return Subject("netdata", _quiet(command, DISABLE_TELEMETRY="1", DO_NOT_TRACK="1"))


def start_node_exporter() -> Subject:
    command = ["prometheus-node-exporter", "--web.listen-address=127.0.0.1:29100"]
    return Subject("prometheus-node-exporter", _quiet(command), scrape_port=29100)


def start_atop(folder: Path) -> Subject:
    return Subject("atop", _quiet(["atop", "-a", "-w", str(folder / "atop.raw"), "1"]))


def _quiet(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )


def collect(how: str) -> int:
    """Run as the subject: `kernelsight collect` with the files alone, with the best source of each, or as it is."""
    names = runner.default_names() if how == "everything" else plain_names()
    if how == "files":
        base.registered()
        sources = base._SOURCES  # noqa: SLF001
        sources._declared = {key: entry for key, entry in sources.declared.items() if key[1] in PLAIN_SOURCES}  # noqa: SLF001
        sources._all = None  # noqa: SLF001
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return runner.run(names, base.Host(), interval_s=1, duration_s=None, out=1, stop=stop, log=sys.stderr)


def plain_names() -> list[str]:
    """The collectors that run by default and have a source that is a file."""
    return [
        name
        for name, entries in base.registered().items()
        if any(entry.source in PLAIN_SOURCES and entry.default for entry in entries)
    ]


# --- measuring ---


def window(subject: Subject, seconds: float) -> None:
    """Let one subject run and take what it used."""
    subject.signal(signal.SIGCONT)
    scrape_until(subject, 2)  # what it missed while it was stopped is not counted
    before, began = cpu_s(subject.process.pid), time.monotonic()
    scrape_until(subject, seconds)
    subject.cpu.append(100 * (cpu_s(subject.process.pid) - before) / (time.monotonic() - began))
    subject.pss.append(memory_mb(subject.process.pid))
    subject.signal(signal.SIGSTOP)


def scrape_until(subject: Subject, seconds: float) -> None:
    """Wait, asking once a second what is to be asked."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if subject.scrape_port is not None:
            connection = http.client.HTTPConnection("127.0.0.1", subject.scrape_port, timeout=10)
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            connection.close()
        time.sleep(min(1, left))


def measure(subjects: list[Subject], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    for subject in subjects:
        subject.signal(signal.SIGSTOP)
    for _ in range(rounds):
        for subject in subjects:
            window(subject, seconds)
    return {
        subject.name: {
            "cpu_percent": round(statistics.median(subject.cpu), 2),
            "cpu_percent_low": round(min(subject.cpu), 2),
            "cpu_percent_high": round(max(subject.cpu), 2),
            "pss_mb": round(statistics.median(subject.pss), 1),
        }
        for subject in subjects
    }


def each_collector(runs: int) -> dict[str, dict[str, float]]:
    """CPU time of one run of each source, encoding included, at 1 Hz."""
    host, taken, plain = base.Host(), {}, plain_names()
    with ExitStack() as opened:
        for entries in base.registered().values():
            for entry in entries:
                if entry.name not in plain:
                    continue
                with suppress(SourceUnavailableError):
                    collector = entry.factory(host)
                    opened.callback(collector.close)
                    taken[f"{entry.name} ({entry.source})"] = (collector, [], [])
        for run in range(runs + 1):
            for collector, times, events in taken.values():
                before = time.thread_time_ns()
                collected = list(collector.collect(time.time_ns()))
                encode_lines(collected)
                if run:  # the first opens and reads all there is
                    times.append((time.thread_time_ns() - before) / 1000)
                    events.append(len(collected))
            time.sleep(1)
    return {
        name: {
            "us_median": round(statistics.median(times), 1),
            "us_mean": round(statistics.mean(times), 1),
            "events_mean": round(statistics.mean(events), 1),
        }
        for name, (_, times, events) in taken.items()
    }


# --- the others ---


def install() -> list[str]:
    """Install what is missing without letting its services start; returns what cannot be had."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    if missing and os.geteuid() == 0:
        barred = not POLICY.exists()
        if barred:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        try:
            packages = [PACKAGES[name] for name in missing]
            print(f"installing {', '.join(packages)}", file=sys.stderr)
            subprocess.run(
                ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                stdout=sys.stderr,
                check=False,
            )
        finally:
            if barred:
                POLICY.unlink()
            if shutil.which("systemctl"):  # nor at the next boot
                services = [service for name in missing for service in SERVICES[name]]
                subprocess.run(["systemctl", "disable", "-q", *services], stderr=subprocess.DEVNULL, check=False)
    return [name for name in PACKAGES if shutil.which(name) is None]


def others(stack: ExitStack, missing: list[str]) -> list[Subject]:
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="collectors-benchmark-", ignore_cleanup_errors=True))
    )
    started = []
    for name, start in (
        ("netdata", lambda: start_netdata(folder / "netdata")),
        ("prometheus-node-exporter", start_node_exporter),
        ("atop", lambda: start_atop(folder)),
    ):
        if name not in missing:
            subject = start()
            stack.callback(subject.end)
            started.append(subject)
    return started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", action="store_true", help="measure kernelsight alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of one window")
    parser.add_argument("--collect", choices=("files", "best", "everything"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.collect:
        return collect(chosen.collect)
    missing = list(PACKAGES) if chosen.alone else install()
    here = count_processes()
    with crowd(max(PROCESSES - here, 0)), ExitStack() as stack:
        each = each_collector(runs=20)
        subjects = [
            start_kernelsight("kernelsight, files alone", "files"),
            start_kernelsight("kernelsight", "best"),
            start_kernelsight("kernelsight, with tracers", "everything"),
        ]
        for subject in subjects:
            stack.callback(subject.end)
        subjects += others(stack, missing)
        time.sleep(10)
        result = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "processes": count_processes(),
            "windows": {"rounds": chosen.rounds, "seconds": chosen.seconds},
            "collectors": plain_names(),
            "target": TARGET,
            "target_with_tracers": TARGET_WITH_TRACERS,
            "subjects": measure(subjects, chosen.rounds, chosen.seconds),
            "not_measured": missing,
            "each_collector": each,
        }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
