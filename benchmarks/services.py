"""Whether requests and latency as the kernel sees them are those that the clients of real servers report.

    sudo python benchmarks/services.py                   # about two minutes; prints JSON
    sudo python benchmarks/services.py redis nginx       # only these

Each server is put to work by its own load generator, once with one connection and once with many, while the
collector of services is asked every second as in use. `difference_percent` compares requests, the mean and the
median of the latency with what the client reports. With many connections in one client, its own figure holds the
time that it takes to come to a connection whose answer has arrived; the kernel's view of the same client ends when
it arrives, and begins when the call has sent the request. `client_share_us` is that difference; of it, `cpu_us` is
the client's own CPU time for a request, and the rest it waits for a CPU. The answers that take 10 ms show what is left
where that is little. wrk corrects its mean (and not its median) for requests that it would have sent meanwhile. Needs
redis-server, nginx, wrk and postgresql; what is missing is left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pwd
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.service import Services
from kernelsight.events.service import ServiceEdge, ServiceStats

MANY = 20
GOAL_PERCENT = 5
Figures = dict[str, float]


@dataclass
class Seen:
    """What the collector said of one service."""

    stats: list[ServiceStats] = field(default_factory=list)
    edges: list[ServiceEdge] = field(default_factory=list)


@dataclass(frozen=True)
class Server:
    """How to start a server at a port, and what puts it to work: `load(port, connections, seconds)`."""

    needs: tuple[str, ...]
    start: Callable[[ExitStack, Path, int], None]
    load: Callable[[Path, int, int, int], Figures]


def run(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


@contextmanager
def started(*command: object, port: int, **options: object) -> Iterator[None]:
    """A server until the end; returns when it accepts connections."""
    parts = [str(part) for part in command]
    with subprocess.Popen(parts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as server:  # type: ignore[call-overload]
        try:
            deadline = time.monotonic() + 20
            while not accepts(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{parts[0]} did not start")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# --- servers ---


def start_redis(stack: ExitStack, folder: Path, port: int) -> None:
    stack.enter_context(started("redis-server", "--port", port, "--dir", folder, "--save", "", port=port))


def load_redis(_: Path, port: int, connections: int, seconds: int) -> Figures:
    """About as many requests as take the time; redis-benchmark knows numbers only."""
    number = seconds * (5_000 if connections == 1 else 20_000)
    lines = run("redis-benchmark", "-p", port, "-c", connections, "-n", number, "-t", "get", "--csv").splitlines()
    named = dict(zip(lines[0].replace('"', "").split(","), lines[1].replace('"', "").split(","), strict=True))
    return {
        "requests": number,
        "mean_us": 1e3 * float(named["avg_latency_ms"]),
        "median_us": 1e3 * float(named["p50_latency_ms"]),
        "p99_us": 1e3 * float(named["p99_latency_ms"]),
    }


def start_nginx(stack: ExitStack, folder: Path, port: int) -> None:
    (folder / "index.html").write_text("x" * 1000)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error; user root;"
        f"events {{}} http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};"
        f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};"
        f"keepalive_requests 10000000; server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
    )
    stack.enter_context(started("nginx", "-c", configuration, "-p", folder, port=port))


_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def _wrk_us(text: str, name: str) -> float:
    found = re.search(rf"{name}\s+([\d.]+)(us|ms|s|m)", text)
    assert found, text
    return float(found[1]) * _UNITS[found[2]]


def load_nginx(_: Path, port: int, connections: int, seconds: int) -> Figures:
    text = run("wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--latency", f"http://127.0.0.1:{port}/")
    requests = re.search(r"(\d+) requests in", text)
    assert requests, text
    return {
        "requests": float(requests[1]),
        "mean_us": _wrk_us(text, "Latency"),
        "median_us": _wrk_us(text, "50%"),
        "p99_us": _wrk_us(text, "99%"),
    }


def _postgres(name: str) -> str:
    return shutil.which(name) or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=name)


def start_postgres(stack: ExitStack, folder: Path, port: int) -> None:
    """It does not run as root."""
    data = folder / "data"
    user = pwd.getpwnam("postgres")
    for parent in (folder, folder.parent):
        parent.chmod(0o755)
    data.mkdir()
    os.chown(data, user.pw_uid, user.pw_gid)
    be = {"user": user.pw_uid, "group": user.pw_gid, "cwd": data}
    subprocess.run([_postgres("initdb"), "-D", data, "-A", "trust"], check=True, stdout=subprocess.DEVNULL, **be)
    options = ("-D", data, "-p", port, "-h", "127.0.0.1", "-c", "unix_socket_directories=")
    stack.enter_context(started(_postgres("postgres"), *options, port=port, **be))
    client = ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres")
    while subprocess.run([_postgres("pg_isready"), "-q", *client], check=False).returncode:
        time.sleep(0.1)  # it accepts connections before it is ready
    run("pgbench", *client, "-i", "-q", "-s", 1, "postgres")


def load_postgres(folder: Path, port: int, connections: int, seconds: int) -> Figures:
    return pgbench(folder, port, connections, seconds, "-S")


def load_sleeps(folder: Path, port: int, connections: int, seconds: int) -> Figures:
    """Answers that take long enough for what the client adds to be little."""
    script = folder / "sleep.sql"
    script.write_text("SELECT pg_sleep(0.01);\n")
    return pgbench(folder, port, connections, seconds, "-f", script)


def pgbench(folder: Path, port: int, connections: int, seconds: int, *work: object) -> Figures:
    """Each transaction is one statement, so one request; the log has the latency of every one of them."""
    prefix = folder / f"log{connections}"
    run("pgbench", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-n", "-c", connections, "-T", seconds,
        "-l", f"--log-prefix={prefix}", *work, "postgres")  # fmt: skip
    took = sorted(
        int(line.split()[2]) for log in folder.glob(f"{prefix.name}.*") for line in log.read_text().splitlines()
    )
    return {
        "requests": len(took),
        "mean_us": statistics.fmean(took),
        "median_us": took[len(took) // 2],
        "p99_us": took[len(took) * 99 // 100],
    }


SERVERS = {
    "redis": Server(("redis-server", "redis-benchmark"), start_redis, load_redis),
    "nginx": Server(("nginx", "wrk"), start_nginx, load_nginx),
    "postgresql": Server(("pgbench",), start_postgres, load_postgres),
    "postgresql, 10 ms": Server(("pgbench",), start_postgres, load_sleeps),
}

# --- comparison ---


def watched(port: int, load: Callable[[], Figures]) -> tuple[Figures, Seen]:
    """What the client reports, and what the collector says, asked every second by a thread's worth of waiting."""
    seen = Seen()
    with closing(Services(Host())) as collector:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            said = load()
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            said["cpu_us"] = 1e6 * (used.ru_utime + used.ru_stime) / said["requests"]
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)
        ended = 0
        while not ended:
            time.sleep(1)
            ended = os.waitpid(child, os.WNOHANG)[0]
            for event in collector.collect(time.time_ns()):
                if isinstance(event, ServiceStats) and event.port == port:
                    seen.stats.append(event)
                elif isinstance(event, ServiceEdge) and event.port == port and event.pid is not None:
                    seen.edges.append(event)
        with os.fdopen(read) as said:
            return json.loads(said.read()), seen


def view(rows: list[ServiceStats] | list[ServiceEdge]) -> Figures:
    """The seconds together; the median is that of the seconds' medians, by their answers."""
    timed = [row for row in rows if row.latency_count]
    number = sum(row.latency_count or 0 for row in timed)

    def weighted(name: str) -> float:
        values = sorted((getattr(row, name), row.latency_count or 0) for row in timed)
        passed = 0
        for value, count in values:
            passed += count
            if 2 * passed >= number:
                return float(value)
        raise ValueError("no answer was timed")

    return {
        "requests": sum(row.requests or 0 for row in rows),
        "answers": sum(row.answers or 0 for row in rows),
        "mean_us": sum(row.latency_us or 0 for row in timed) / number,
        "median_us": weighted("latency_p50_us"),
        "p99_us": weighted("latency_p99_us"),
    }


def compared(said: Figures, seen: Seen) -> dict[str, object]:
    server, client = view(seen.stats), view(seen.edges)
    timed = sum(row.latency_count or 0 for row in seen.stats)
    return {
        "client_says": rounded(said),
        "kernel_of_client": rounded(client),
        "kernel_of_server": rounded(server)
        | {
            "queue_mean_us": round(sum(row.queue_us or 0 for row in seen.stats) / timed, 1),
            "service_mean_us": round(sum(row.service_us or 0 for row in seen.stats) / timed, 1),
        },
        "difference_percent": {
            "requests": round(100 * (server["requests"] / said["requests"] - 1), 2),
            "mean": round(100 * (client["mean_us"] / said["mean_us"] - 1), 1),
            "median": round(100 * (client["median_us"] / said["median_us"] - 1), 1),
        },
        "client_share_us": round(said["mean_us"] - client["mean_us"], 1),
    }


def rounded(figures: Figures) -> Figures:
    return {name: round(value, 1) for name, value in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", choices=[*SERVERS, []], default=[])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--port", type=int, default=23100)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    results: dict[str, object] = {}
    for number, name in enumerate(arguments.servers or SERVERS):
        server, port = SERVERS[name], arguments.port + number
        if missing := [program for program in server.needs if not shutil.which(program)]:
            print(f"{name}: needs {', '.join(missing)}", file=sys.stderr)
            continue
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="services-benchmark-"))) / name
            folder.mkdir()
            server.start(stack, folder, port)
            for connections in (1, MANY):
                said, seen = watched(port, lambda: server.load(folder, port, connections, arguments.seconds))  # noqa: B023
                results[f"{name}, {connections} connections"] = compared(said, seen)
                print(f"{name}, {connections} connections", file=sys.stderr)
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load_average": os.getloadavg()}
    print(json.dumps({"machine": machine, "goal_percent": GOAL_PERCENT, "servers": results}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
