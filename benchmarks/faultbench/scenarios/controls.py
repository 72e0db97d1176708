"""Busy machines with which nothing is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.cpu import CPUS, SERVE, SPIN
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.stage import PYTHON, Stage
from benchmarks.faultbench.truth import Truth

COMPILE = """while :; do make -s -B -j {jobs}; done
"""
FETCH = """import sys, threading, time, urllib.request
def fetch():
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/page").read()
        except OSError:
            time.sleep(0.1)
        time.sleep(float(sys.argv[3]))
for _ in range(int(sys.argv[2])):
    threading.Thread(target=fetch, daemon=True).start()
time.sleep(60)
"""
READ_ALL = """import pathlib, sys, time
for _ in range(100):
    for file in pathlib.Path(sys.argv[1]).iterdir():
        with file.open("rb") as data:
            while data.read(1 << 16):
                time.sleep(0.001)
"""
COMMIT = """import os, random, sys, time
page = os.urandom(8192)
with open("table", "wb") as table, open("journal", "wb") as journal:
    table.truncate(32 << 20)
    while True:
        journal.write(page)
        journal.flush()
        os.fsync(journal.fileno())
        table.seek(8192 * random.randrange(4096))
        table.write(page)
        time.sleep(float(sys.argv[1]))
"""
TESTS = """import hashlib, os, subprocess, sys, time
def one(seed):
    data = seed
    for _ in range(30000):
        data = hashlib.sha256(data).digest()
while True:
    one(os.urandom(8))
    if os.fork() == 0:
        one(b"child")
        os._exit(0)
    os.wait()
    time.sleep(0.02)
"""


def sources(folder: Path, files: int, functions: int) -> None:
    """C files, and a makefile that compiles them."""
    folder.mkdir()
    for file in range(files):
        body = "\n".join(
            f"int f{file}_{i}(int a, int b) {{ int s = {i}; for (int k = 0; k < b; k++) "
            f"{{ if (a & k) s += a * k; else s ^= k << ({i} % 7); }} return s; }}"
            for i in range(functions)
        )
        (folder / f"f{file}.c").write_text(body)
    objects = " ".join(f"f{file}.o" for file in range(files))
    (folder / "Makefile").write_text(f"all: {objects}\n%.o: %.c\n\tgcc -O2 -c -o $@ $<\n")


def filled(folder: Path, files: int, size_mb: int) -> Path:
    """A folder with files that compress half-way."""
    folder.mkdir()
    for i in range(files):
        (folder / f"data-{i}").write_bytes((os.urandom(1 << 15) + bytes(1 << 15)) * (16 * size_mb))
    return folder


@scenario("compile_on_every_cpu", needs=("gcc", "make"), tags=("control",))
def compile_on_every_cpu(stage: Stage) -> Iterator[Truth]:
    """make with as many jobs as there are CPUs, again and again."""
    sources(stage.folder / "project", 40, stage.chance.randint(60, 200))
    stage.python(SERVE, 0.003, 0.03)
    yield Truth()
    stage.start(["sh", "-c", f"cd project; {COMPILE.format(jobs=CPUS)}"])
    yield Truth()


@scenario("nightly_backup", needs=("tar", "gzip", "nice", "ionice"), tags=("control",))
def nightly_backup(stage: Stage) -> Iterator[Truth]:
    """tar and gzip with the lowest priorities, for CPU and disk."""
    filled(stage.folder / "files", 12, stage.chance.randint(4, 10))
    stage.python(SERVE, 0.004, 0.03)
    yield Truth()
    stage.start(["nice", "-n", 19, "ionice", "-c", "3", "sh", "-c", "while :; do tar cf - files | gzip > b.gz; done"])
    yield Truth()


@scenario("web_server_with_visitors", tags=("control",))
def web_server_with_visitors(stage: Stage) -> Iterator[Truth]:
    """Several clients ask a server for pages, which keeps both busy and neither waiting long."""
    (stage.folder / "page").write_bytes(os.urandom(stage.chance.choice((1 << 12, 1 << 16, 1 << 18))))
    port = free_port()
    stage.start([PYTHON, "-m", "http.server", port, "--bind", "127.0.0.1"])
    yield Truth()
    stage.python(FETCH, port, stage.chance.randint(2, 6), stage.chance.uniform(0.002, 0.02))
    yield Truth()


@scenario("cron_burst", needs=("sh", "sha256sum"), tags=("control",))
def cron_burst(stage: Stage) -> Iterator[Truth]:
    """For two seconds a handful of jobs run at once; then it is quiet again."""
    filled(stage.folder / "files", 2, 16)
    stage.python(SERVE, 0.003, 0.02)
    yield Truth()
    for _ in range(stage.chance.randint(CPUS + 1, 2 * CPUS)):
        stage.start(["timeout", "2", "sh", "-c", "while :; do sha256sum files/*; done"])
    yield Truth()


@scenario("cache_warm_up", tags=("control",))
def cache_warm_up(stage: Stage) -> Iterator[Truth]:
    """A program reads many files, so that they are in memory when they are needed."""
    filled(stage.folder / "files", 24, stage.chance.randint(4, 12))
    stage.run("sync")
    for file in (stage.folder / "files").iterdir():
        with file.open("rb") as data:
            os.posix_fadvise(data.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    yield Truth()
    stage.python(READ_ALL, stage.folder / "files")
    yield Truth()


@scenario("large_sort", needs=("sort",), tags=("control",))
def large_sort(stage: Stage) -> Iterator[Truth]:
    """sort(1) goes through some hundred megabytes with one thread a CPU, and spills to temporary files."""
    lines = stage.chance.randint(1, 2) * 1_000_000
    with (stage.folder / "lines").open("w") as file:
        file.writelines(f"{stage.chance.getrandbits(64):020d} {i:032d}\n" for i in range(lines))
    stage.python(SERVE, 0.003, 0.03)
    yield Truth()
    stage.start(["sh", "-c", f"while :; do sort --parallel={CPUS} -S 32M -T . -o sorted lines; done"])
    yield Truth()


@scenario("test_run_that_fits", tags=("control",))
def test_run_that_fits(stage: Stage) -> Iterator[Truth]:
    """A test run with a worker less than there are CPUs, each of which starts processes of its own."""
    stage.python(SERVE, 0.003, 0.03)
    yield Truth()
    for _ in range(max(1, CPUS - 1)):
        stage.python(TESTS)
    yield Truth()


@scenario("database_with_commits", tags=("control",))
def database_with_commits(stage: Stage) -> Iterator[Truth]:
    """A program commits some dozen times a second, as a small database does."""
    yield Truth()
    stage.python(COMMIT, stage.chance.uniform(0.03, 0.08))
    yield Truth()


@scenario("encoder_with_nice", needs=("nice", "xz"), tags=("control",))
def encoder_with_nice(stage: Stage) -> Iterator[Truth]:
    """An encoder with a thread more than there are CPUs and low priority, beside a service."""
    filled(stage.folder / "files", 1, 48)
    stage.python(SERVE, 0.004, stage.chance.uniform(0.02, 0.05))
    yield Truth()
    nice, threads = stage.chance.choice((10, 15, 19)), CPUS + 1
    stage.start(["nice", "-n", nice, "sh", "-c", f"while :; do xz -0 -T {threads} -k -f -c files/* >/dev/null; done"])
    yield Truth()


@scenario("as_many_jobs_as_cpus", tags=("control",))
def as_many_jobs_as_cpus(stage: Stage) -> Iterator[Truth]:
    """As many busy jobs as there are CPUs, and nobody who waits for them."""
    yield Truth()
    stage.python(SPIN, CPUS)
    yield Truth()


@scenario("one_job_less_than_cpus", tags=("control",))
def one_job_less_than_cpus(stage: Stage) -> Iterator[Truth]:
    """One busy job less than there are CPUs, beside a service."""
    stage.python(SERVE, 0.004, 0.02)
    yield Truth()
    stage.python(SPIN, max(1, CPUS - 1))
    yield Truth()


@scenario("niced_cruncher", tags=("control",))
def niced_cruncher(stage: Stage) -> Iterator[Truth]:
    """Jobs with the lowest priority use what nobody else wants."""
    stage.python(SERVE, 0.003, 0.03)
    yield Truth()
    stage.python("import os\nos.nice(19)\n" + SPIN, CPUS + stage.chance.randint(0, 2))
    yield Truth()
