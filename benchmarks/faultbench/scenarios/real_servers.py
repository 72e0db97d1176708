"""Real servers with real clients: a fault behind the server, and work that keeps its clients waiting on purpose."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.faultbench.networks import namespace, wire
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.scenarios.servers import ASK
from benchmarks.faultbench.stage import CGROUPS, PYTHON, Actor, Stage
from benchmarks.faultbench.truth import Culprit, Truth

NGINX = """worker_processes 1;
error_log /dev/null;
pid {folder}/nginx.pid;
daemon off;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/web;
  proxy_temp_path {folder}/web;
  fastcgi_temp_path {folder}/web;
  uwsgi_temp_path {folder}/web;
  scgi_temp_path {folder}/web;
  upstream behind {{ server {upstream}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""
HAPROXY = """defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend behind
backend behind
  server one {upstream}
"""
SERVE_PAGES = """import http.server, sys, time
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(float(sys.argv[2]))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Page).serve_forever()
"""
VISIT = """import http.client, sys, time
while True:
    try:
        site = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
        while True:
            began = time.monotonic()
            site.request("GET", "/")
            site.getresponse().read()
            measured(began)
            time.sleep(float(sys.argv[2]))
    except (OSError, http.client.HTTPException):
        time.sleep(0.1)
"""
QUERY_POSTGRES = """import socket, struct, sys, time
class Base:
    def __init__(self, port):
        while True:
            try:
                self.link = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.1)
        words = b"user\\0postgres\\0database\\0postgres\\0\\0"
        self.link.sendall(struct.pack("!II", len(words) + 8, 196608) + words)
        self.unread = b""
        self.ready()
    def ready(self):
        while True:
            while len(self.unread) < 5 or len(self.unread) < 1 + struct.unpack("!I", self.unread[1:5])[0]:
                data = self.link.recv(65536)
                if not data:
                    sys.exit(1)
                self.unread += data
            size = 1 + struct.unpack("!I", self.unread[1:5])[0]
            kind, self.unread = self.unread[:1], self.unread[size:]
            if kind == b"Z":
                return
    def run(self, text):
        words = text.encode() + b"\\0"
        self.link.sendall(b"Q" + struct.pack("!I", len(words) + 4) + words)
        self.ready()
"""
QUERY_MARIADB = """import socket, struct, sys, time
class Base:
    def __init__(self, port):
        while True:
            try:
                self.link = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.1)
        self.file = self.link.makefile("rb")
        self.packet()
        words = struct.pack("<IIB23x", 0x000fa20d & ~0x800 & ~8, 1 << 24, 33) + b"root\\0\\0mysql_native_password\\0"
        self.link.sendall(struct.pack("<I", len(words) | 1 << 24) + words)
        self.packet()
    def packet(self):
        head = self.file.read(4)
        if len(head) < 4:
            sys.exit(1)
        words = self.file.read(int.from_bytes(head[:3], "little"))
        if words[:1] == b"\\xff":
            sys.exit(words.decode(errors="replace"))
        return words
    def run(self, text):
        words = b"\\3" + text.encode()
        self.link.sendall(struct.pack("<I", len(words)) + words)
        first = self.packet()
        ends = 0 if first[:1] == b"\\0" else 2
        while ends:
            words = self.packet()
            ends -= words[:1] == b"\\xfe" and len(words) < 9
"""
CHANGE = """
base = Base(int(sys.argv[1]))
while True:
    for text in sys.argv[3].split(";"):
        began = time.monotonic()
        base.run(text)
        measured(began)
    time.sleep(float(sys.argv[2]))
"""
FORGET = """
base = Base(int(sys.argv[1]))
for text in sys.argv[2].split(";"):
    base.run(text)
time.sleep(3600)
"""
MAKE = """
base = Base(int(sys.argv[1]))
for text in sys.argv[2].split(";"):
    base.run(text)
"""
TABLE = "CREATE TABLE t (id INT PRIMARY KEY, n INT);INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0)"
JAVA = """
import com.sun.net.httpserver.*;
import java.net.*;
import java.util.*;
import java.util.concurrent.*;

public class Shop {
    static final List<byte[]> kept = Collections.synchronizedList(new ArrayList<>());
    public static void main(String[] words) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 64);
        long garbage = Long.parseLong(words[1]);
        server.createContext("/", exchange -> {
            List<byte[]> some = new ArrayList<>();
            for (int i = 0; i < garbage; i++) some.add(new byte[1024]);
            byte[] page = "page".getBytes();
            exchange.sendResponseHeaders(200, page.length);
            exchange.getResponseBody().write(page);
            exchange.close();
        });
        server.createContext("/keep", exchange -> {
            long room = Runtime.getRuntime().maxMemory();
            List<byte[]> more = new ArrayList<>();
            try {
                while (true) {
                    Runtime now = Runtime.getRuntime();
                    if (kept.size() * 1040L * 16 > room * Double.parseDouble(words[2])) break;
                    kept.add(new byte[16 * 1024]);
                }
            } catch (OutOfMemoryError full) { kept.remove(kept.size() - 1); }
            exchange.sendResponseHeaders(200, 4);
            exchange.getResponseBody().write("kept".getBytes());
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
"""
FETCH_ONCE = """import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{sys.argv[2]}", timeout=600).read()
"""
LOOK_UP = """import socket, struct, sys, time
resolver = (sys.argv[1], int(sys.argv[2]))
number = 0
while True:
    number = number + 1 & 0xffff
    asked = struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + b"\\4host\\4test\\0" + struct.pack("!HH", 1, 1)
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(resolver)
            way.settimeout(5)
            way.send(asked)
            try:
                way.recv(512)
                break
            except OSError:
                pass
    time.sleep(0.02)
"""
ACCEPT = """import socket
listener = socket.create_server(("", 7000), backlog=64)
while True:
    listener.accept()[0].close()
"""
CONNECT = """import socket, sys, time
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20).close()
    except OSError:
        pass
    time.sleep(0.05)
"""


def listens(port: int, seconds: float = 30) -> None:
    """Wait until a server accepts connections.

    Raises:
        OSError: it does not in time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _opened(stage: Stage) -> None:
    """Let a server that runs as another user reach its files."""
    stage.folder.chmod(0o755)


def postgres(stage: Stage, within: Path | None = None) -> tuple[Actor, int]:
    """A PostgreSQL server with a table of four rows, in a folder of its own, or in one on another disk."""
    _opened(stage)
    port, folder = free_port(), (within or stage.folder) / "base"
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
    folder.mkdir()
    os.chown(folder, *_user("postgres"))
    as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    stage.run(*as_user, binaries / "initdb", "-D", folder, "-A", "trust", "-N", "-U", "postgres")
    options = ("-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
    server = stage.start([binaries / "postgres", "-D", folder, *options], through=as_user)
    listens(port)
    _to_the_end(stage, QUERY_POSTGRES + MAKE, port, TABLE)
    return server, port


def mariadb(stage: Stage) -> tuple[Actor, int]:
    """A MariaDB server with a table of four rows."""
    _opened(stage)
    port, folder = free_port(), stage.folder / "base"
    folder.mkdir()
    os.chown(folder, *_user("mysql"))
    stage.run(
        "mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--user=mysql", "--skip-test-db",
        "--auth-root-authentication-method=normal",
    )  # fmt: skip
    server = stage.start(
        ["mariadbd", "--no-defaults", f"--datadir={folder}", "--user=mysql", f"--port={port}",
         "--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--pid-file={folder}/pid",
         "--innodb-buffer-pool-size=32M"]
    )  # fmt: skip
    listens(port)
    _to_the_end(stage, QUERY_MARIADB + MAKE, port, f"CREATE DATABASE d;USE d;{TABLE}")
    return server, port


def _user(name: str) -> tuple[int, int]:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def _to_the_end(stage: Stage, code: str, *arguments: object) -> None:
    if stage.python(code, *arguments).process.wait(60):
        raise RuntimeError("a program that prepares a scenario failed")


def nginx(stage: Stage, upstream: str) -> tuple[Actor, int]:
    """A web server that passes everything on."""
    port = free_port()
    (stage.folder / "web").mkdir()
    config = stage.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=stage.folder, port=port, upstream=upstream))
    server = stage.start(["nginx", "-c", config, "-p", stage.folder])
    listens(port)
    return server, port


def haproxy(stage: Stage, upstream: str) -> tuple[Actor, int]:
    """A proxy that passes everything on."""
    port = free_port()
    config = stage.folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, upstream=upstream))
    server = stage.start(["haproxy", "-f", config, "-db"])
    listens(port)
    return server, port


def _visitors(stage: Stage, port: int) -> list[Actor]:
    return [stage.python(VISIT, port, stage.chance.uniform(0.005, 0.02)) for _ in range(stage.chance.randint(2, 4))]


@scenario("proxy_before_a_stopped_server", needs=("nginx",), lasts_s=16)
def proxy_before_a_stopped_server(stage: Stage) -> Iterator[Truth]:
    """A web server passes requests on to a server that somebody has stopped."""
    behind = free_port()
    upstream = stage.python(SERVE_PAGES, behind, 0)
    _, port = nginx(stage, f"127.0.0.1:{behind}")
    _visitors(stage, port)
    yield Truth()
    upstream.process.send_signal(signal.SIGSTOP)
    yield Truth("stopped_process", culprits=(upstream.culprit,))


@scenario("proxy_before_a_silent_machine", needs=("nginx", "ip"), lasts_s=16)
def proxy_before_a_silent_machine(stage: Stage) -> Iterator[Truth]:
    """A web server passes requests on to another machine that takes them and answers none of them any more."""
    _, there = wire(stage, None, namespace(stage))
    behind = 8080
    upstream = stage.python(SERVE_LATER, behind, stage.folder / "late", through=there.inside)
    stage.run("sleep", 1)
    _, port = nginx(stage, f"{there.address}:{behind}")
    _visitors(stage, port)
    yield Truth()
    (stage.folder / "late").write_text("30")
    yield Truth("slow_dependency", culprits=(upstream.at(f"{there.address}:{behind}"),))


SERVE_LATER = SERVE_PAGES.replace(
    "time.sleep(float(sys.argv[2]))",
    "time.sleep(float(open(sys.argv[2]).read()) if __import__('os').path.exists(sys.argv[2]) else 0)",
)


@scenario("proxy_before_a_slow_server", needs=("haproxy",), lasts_s=14)
def proxy_before_a_slow_server(stage: Stage) -> Iterator[Truth]:
    """A proxy passes requests on to a server that takes seconds for each from some moment on."""
    behind = free_port()
    upstream = stage.python(SERVE_LATER, behind, stage.folder / "late")
    _, port = haproxy(stage, f"127.0.0.1:{behind}")
    _visitors(stage, port)
    yield Truth()
    (stage.folder / "late").write_text(f"{stage.chance.uniform(1.5, 4):.2f}")
    yield Truth("slow_dependency", culprits=(upstream.at(f"127.0.0.1:{behind}"),))


@scenario("forgotten_transaction", lasts_s=16)
def forgotten_transaction(stage: Stage) -> Iterator[Truth]:
    """A client of PostgreSQL changes a row and never ends its transaction; all others want the same row."""
    _, port = postgres(stage)
    change = QUERY_POSTGRES + CHANGE
    for _ in range(stage.chance.randint(3, 5)):
        stage.python(change, port, stage.chance.uniform(0.01, 0.03), "UPDATE t SET n = n + 1 WHERE id = 1")
    for _ in range(2):
        stage.python(QUERY_POSTGRES + FORGET, port, "SELECT 1")
    yield Truth()
    holder = stage.python(QUERY_POSTGRES + FORGET, port, "BEGIN;UPDATE t SET n = 0 WHERE id = 1")
    stage.run("sleep", 0.5)
    yield Truth("lock_contention", culprits=(holder.culprit, *_servers_of(port, holder)))


@scenario("row_that_stays_locked", needs=("mariadbd", "mariadb-install-db"), lasts_s=16)
def row_that_stays_locked(stage: Stage) -> Iterator[Truth]:
    """A client of MariaDB changes a row and never ends its transaction; all others want the same row."""
    server, port = mariadb(stage)
    change = QUERY_MARIADB + CHANGE
    for _ in range(stage.chance.randint(3, 5)):
        stage.python(change, port, stage.chance.uniform(0.01, 0.03), "UPDATE d.t SET n = n + 1 WHERE id = 1")
    for _ in range(2):
        stage.python(QUERY_MARIADB + FORGET, port, "SELECT 1")
    yield Truth()
    holder = stage.python(QUERY_MARIADB + FORGET, port, "BEGIN;UPDATE d.t SET n = 0 WHERE id = 1")
    stage.run("sleep", 0.5)
    yield Truth("lock_contention", culprits=(holder.culprit, server.culprit))


def _servers_of(port: int, client: Actor) -> Sequence[Culprit]:
    """The process of a server that has the connection of a client."""
    local = {
        line.split()[1].split(":")[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[2].endswith(f":{port:04X}") and _has(client.pid, line.split()[9])
    }
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[2].split(":")[1] in local
    }
    pids = [one.name for one in Path("/proc").glob("[0-9]*") if any(_has(int(one.name), inode) for inode in inodes)]
    return [Culprit((pid,)) for pid in pids]


def _has(pid: int, inode: str) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return True
    return False


def _java(stage: Stage, heap: str, garbage: int, share: float, *options: str, **how: object) -> tuple[Actor, int]:
    port = free_port()
    source = stage.folder / "Shop.java"
    source.write_text(JAVA)
    stage.run("javac", "-d", stage.folder, source)
    java = next(Path("/usr/lib/jvm").glob("java-1.17*/bin/java"), Path("java"))
    words = [java, f"-Xmx{heap}", f"-Xms{heap}", *options, "-cp", stage.folder, "Shop", port, garbage, share]
    server = stage.start(words, **how)  # type: ignore[arg-type]
    listens(port)
    return server, port


@scenario("heap_nearly_full", needs=("java", "javac"), lasts_s=18)
def heap_nearly_full(stage: Stage) -> Iterator[Truth]:
    """A Java server keeps so much that its collector runs all the time to find a little room."""
    server, port = _java(stage, "96m", 2000, 0.93)
    for _ in range(3):
        stage.python(VISIT, port, 0.01)
    yield Truth()
    stage.python(FETCH_ONCE, port, "/keep")
    yield Truth("gc_thrash", culprits=(server.culprit,))


@scenario("garbage_at_a_normal_rate", needs=("java", "javac"), lasts_s=14, tags=("control",))
def garbage_at_a_normal_rate(stage: Stage) -> Iterator[Truth]:
    """A Java server makes much garbage and has the room for it."""
    _, port = _java(stage, "256m", 2000, 0.2)
    stage.python(VISIT, port, 0.005)
    yield Truth()
    stage.python(FETCH_ONCE, port, "/keep")
    yield Truth()


@scenario("java_with_a_small_quota", needs=("java", "javac"), lasts_s=14)
def java_with_a_small_quota(stage: Stage) -> Iterator[Truth]:
    """A Java server gets less of a CPU than before by a quota, and its threads wait for each other's locks."""
    old = (CGROUPS / "cpu").is_dir()
    group = stage.cgroup("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"} if old else {})
    server, port = _java(stage, "128m", 20000, 0.2, groups=(group,))
    for _ in range(4):
        stage.python(VISIT, port, 0.005)
    yield Truth()
    file, quota = ("cpu.cfs_quota_us", "15000") if old else ("cpu.max", "15000 100000")
    (group / file).write_text(quota)
    yield Truth("cpu_throttling", culprits=(server.at(f"/{group.name}"),))


@scenario("server_in_a_frozen_group", needs=("redis-server",), lasts_s=16)
def server_in_a_frozen_group(stage: Stage) -> Iterator[Truth]:
    """Somebody froze the group of a server (version 2), and its clients wait."""
    root = CGROUPS / "unified" if (CGROUPS / "unified").is_dir() else CGROUPS
    group = stage.cgroup("", {}, below=root)
    yield from _frozen(stage, group, "cgroup.freeze", "1", "0")


@scenario("server_in_a_freezer", needs=("redis-server",), lasts_s=16)
def server_in_a_freezer(stage: Stage) -> Iterator[Truth]:
    """Somebody froze the group of a server (version 1), and its clients wait."""
    group = stage.cgroup("freezer", {})
    yield from _frozen(stage, group, "freezer.state", "FROZEN", "THAWED")


def _frozen(stage: Stage, group: Path, file: str, freeze: str, thaw: str) -> Iterator[Truth]:
    port = free_port()
    server = stage.start(["redis-server", "--port", port, "--save", "", "--daemonize", "no"], groups=(group,))
    listens(port)
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(ASK, port, "GET key", 0.01)
    yield Truth()
    stage.later(lambda: (group / file).write_text(thaw))
    (group / file).write_text(freeze)
    yield Truth("stopped_process", culprits=(server.at(f"/{group.name}"),))


@scenario("resolver_that_is_silent", needs=("dnsmasq",), lasts_s=18)
def resolver_that_is_silent(stage: Stage) -> Iterator[Truth]:
    """A DNS server takes questions and answers none, so that those who look up names wait for their timeouts."""
    port = free_port()
    server = stage.start(
        ["dnsmasq", "-k", "-p", port, "-a", "127.0.0.1", "--bind-interfaces", "-R", "-h", "-A", "/host.test/10.1.2.3",
         "-u", "root", "-x", stage.folder / "pid", "-C", "/dev/null"]
    )  # fmt: skip
    stage.run("sleep", 0.5)
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(LOOK_UP, "127.0.0.1", port)
    yield Truth()
    server.process.send_signal(signal.SIGSTOP)
    yield Truth("stopped_process", culprits=(server.at(f"127.0.0.1:{port}"),), faults=("slow_dependency",))


@scenario("resolver_far_away_is_silent", needs=("dnsmasq", "ip"), lasts_s=18)
def resolver_far_away_is_silent(stage: Stage) -> Iterator[Truth]:
    """The DNS server of another machine does not answer any more."""
    _, there = wire(stage, None, namespace(stage))
    server = stage.start(
        ["dnsmasq", "-k", "-p", 53, "-R", "-h", "-A", "/host.test/10.1.2.3", "-u", "root",
         "-x", stage.folder / "pid", "-C", "/dev/null"], through=there.inside,
    )  # fmt: skip
    stage.run("sleep", 1)
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(LOOK_UP, there.address, 53)
    yield Truth()
    server.end()
    stage.run(*there.inside, "ip", "route", "add", "blackhole", "10.0.0.0/8")
    stage.run(*there.inside, "ip", "address", "flush", "dev", there.interface)
    stage.run(*there.inside, "ip", "address", "add", f"{there.address}/32", "dev", there.interface)
    yield Truth("slow_dependency", culprits=(server.at(f"{there.address}:53", there.address),))


@scenario("nobody_answers_a_connection", needs=("ip",), lasts_s=18)
def nobody_answers_a_connection(stage: Stage) -> Iterator[Truth]:
    """Programs connect to a machine that does not answer: each attempt waits until it gives up."""
    _, there = wire(stage, None, namespace(stage))
    listener = stage.python(ACCEPT, through=there.inside)
    stage.run("sleep", 1)
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(CONNECT, there.address, 7000)
    yield Truth()
    nft = (*there.inside, "nft")
    stage.run(*nft, "add", "table", "inet", "gone")
    stage.run(*nft, "add chain inet gone input { type filter hook input priority 0; policy drop; }")
    listener.end()
    yield Truth("slow_dependency", culprits=(listener.at(f"{there.address}:7000", there.address),))


READ_SLOWLY = """import sys, time
while True:
    sys.stdin.buffer.raw.read(65536)
    time.sleep(float(sys.argv[1]))
"""
WRITE_MUCH = """import os, sys, time
end = 0
while True:
    os.write(1, b"line of a log\\n" * 1000)
    time.sleep(0.002)
"""


@scenario("reader_of_a_pipe_that_waits", lasts_s=14)
def reader_of_a_pipe_that_waits(stage: Stage) -> Iterator[Truth]:
    """A program writes its log into a pipe whose reader has stopped reading."""
    reader_name, writer_name = stage.name(), stage.name()
    for name, code in ((reader_name, READ_UNTIL), (writer_name, WRITE_MUCH)):
        (stage.folder / f"{name}.py").write_text(
            f"import ctypes\nctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0)\n{code}"
        )
    flag = stage.folder / "wait"
    shell = stage.start(
        ["sh", "-c", f"{PYTHON} {stage.folder}/{writer_name}.py | {PYTHON} {stage.folder}/{reader_name}.py {flag}"]
    )
    yield Truth()
    flag.write_text("now")
    yield Truth("slow_dependency", culprits=(Culprit((), (reader_name,)),), faults=("thread_saturation",))
    del shell


READ_UNTIL = """import os, sys, time
while True:
    sys.stdin.buffer.raw.read(65536)
    while os.path.exists(sys.argv[1]):
        time.sleep(1)
"""


@scenario("benchmark_of_a_database", lasts_s=12, tags=("control",))
def benchmark_of_a_database(stage: Stage) -> Iterator[Truth]:
    """Clients that change rows as fast as they are answered, beside some that are connected and ask nothing."""
    _, port = postgres(stage)
    for _ in range(3):
        stage.python(QUERY_POSTGRES + FORGET, port, "SELECT 1")
    yield Truth()
    bench = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    address = ("-h", "127.0.0.1", "-p", port, "-U", "postgres")
    stage.run(bench, "-i", "-q", *address, "postgres")
    stage.start([bench, "-c", 4, "-T", 60, *address, "postgres"])
    yield Truth()


@scenario("workers_that_wait_for_jobs", needs=("redis-server",), lasts_s=14, tags=("control",))
def workers_that_wait_for_jobs(stage: Stage) -> Iterator[Truth]:
    """Workers take jobs from a queue in Redis and wait there while it is empty, as they are meant to."""
    port = free_port()
    stage.start(["redis-server", "--port", port, "--save", "", "--daemonize", "no"])
    listens(port)
    for _ in range(4):
        stage.python(ASK, port, "BLPOP jobs 0", 0.01)
    producer = stage.python(ASK, port, "RPUSH jobs a", 0.01)
    yield Truth()
    producer.end()
    yield Truth()


@scenario("proxy_with_patient_readers", needs=("nginx",), lasts_s=14, tags=("control",))
def proxy_with_patient_readers(stage: Stage) -> Iterator[Truth]:
    """Visitors poll for news through a proxy: each request is answered when there is some, after seconds."""
    behind = free_port()
    stage.python(SERVE_PAGES, behind, f"{stage.chance.uniform(3, 8):.1f}")
    _, port = nginx(stage, f"127.0.0.1:{behind}")
    for _ in range(4):
        stage.python(VISIT, port, 0.01)
    yield Truth()
    yield Truth()
