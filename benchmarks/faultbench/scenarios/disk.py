"""Disks: too much asked of them, slow ones, limited ones, ones that stop, and commits that wait for others' data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.disks import NEVER, disk, frozen, served_file, slow_disk
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

LOOP_TOOLS = ("mkfs.ext4", "losetup")
READ = """import mmap, os, random, sys, time
path, size, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = os.open(path, os.O_RDONLY | os.O_DIRECT)
pieces, place = os.fstat(file).st_size // size, mmap.mmap(-1, size)
while True:
    began = time.monotonic()
    os.preadv(file, [place], random.randrange(pieces) * size)
    measured(began)
    time.sleep(pause)
"""
COMMIT = """import os, sqlite3, sys, time
database = sqlite3.connect(os.path.join(sys.argv[1], "orders.db"), isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT)")
while True:
    began = time.monotonic()
    database.execute("INSERT INTO orders (what) VALUES (?)", ("x" * 400,))
    measured(began)
    time.sleep(float(sys.argv[2]))
"""
APPEND = """import os, sys, time
file = os.open(os.path.join(sys.argv[1], sys.argv[3]), os.O_WRONLY | os.O_CREAT)
while True:
    for place in range(2000):
        os.pwrite(file, b"y" * 600, 600 * place)
        os.fsync(file)
        time.sleep(float(sys.argv[2]))
"""
DIRTY = """import os, sys
folder, size, piece = sys.argv[1], int(sys.argv[2]) << 20, bytes(1 << 20)
while True:
    with open(os.path.join(folder, "bulk"), "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(piece)
        os.fsync(file.fileno())
"""
READ_CACHED = """import os, sys, time
file = os.open(sys.argv[1], os.O_RDONLY)
while True:
    while os.read(file, 1 << 20):
        time.sleep(0.003)
    os.lseek(file, 0, os.SEEK_SET)
"""


def filled(folder: Path, size_mb: int, name: str = "data") -> Path:
    """A file with something in it, on the disk and not in the page cache."""
    path = folder / name
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(size_mb):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


@scenario("random_reads_beside_a_reader", needs=("fio",))
def random_reads_beside_a_reader(stage: Stage) -> Iterator[Truth]:
    """Many small random reads at a time, beside a program that needs one now and then."""
    data = filled(stage.folder, 256)
    stage.python(READ, data, 4096, stage.chance.uniform(0.0005, 0.003))
    yield Truth()
    depth, jobs = stage.chance.choice((32, 64, 128)), stage.chance.randint(1, 3)
    culprit = stage.start(
        ["fio", "--name=a", f"--filename={data}", "--readonly", "--rw=randread", "--bs=4k", "--direct=1",
         "--ioengine=libaio", f"--iodepth={depth}", f"--numjobs={jobs}", "--time_based", "--runtime=60"]
    )  # fmt: skip
    yield Truth("disk_saturation", culprits=(culprit.culprit,))


@scenario("bulk_reads_on_an_ordinary_disk", needs=("gcc", *LOOP_TOOLS), lasts_s=12, tags=("red_herring",))
def bulk_reads_on_an_ordinary_disk(stage: Stage) -> Iterator[Truth]:
    """A program reads all it can, in several threads, from a disk on which others look something up."""
    with slow_disk(stage, 400, stage.chance.uniform(1.5, 5), at_once=2) as slow:
        data = filled(slow.folder, 256)
        stage.python(READ, data, 4096, stage.chance.uniform(0.005, 0.03))
        stage.python(READ_CACHED, filled(stage.folder, 64, "cached"))
        slow.slow_down()
        yield Truth()
        culprit = stage.python(
            "import threading, os\n"
            + READ.replace("    measured(began)\n", "")
            .replace("while True:", "def read(place):\n  while True:")
            .replace(
                "    time.sleep(pause)\n", "    time.sleep(pause)\n"
                "for _ in range(int(sys.argv[4])):\n"
                "    threading.Thread(target=read, args=(mmap.mmap(-1, size),)).start()\n"
            ),
            data, 1 << stage.chance.randint(20, 22), 0, stage.chance.randint(6, 10),
        )  # fmt: skip
        yield Truth("disk_saturation", culprits=(culprit.culprit,))


@scenario("writers_of_one_program_beside_commits", needs=("stress-ng",), lasts_s=12)
def writers_of_one_program_beside_commits(stage: Stage) -> Iterator[Truth]:
    """Several processes of one program write directly, as much as the disk takes."""
    stage.python(READ, filled(stage.folder, 64), 4096, stage.chance.uniform(0.001, 0.005))
    yield Truth()
    culprit = stage.start(
        ["stress-ng", "--keep-name", "--hdd", stage.chance.randint(4, 8), "--hdd-opts", "direct,wr-seq",
         "--hdd-bytes", "64m", "--temp-path", stage.folder, "--timeout", "60"]
    )  # fmt: skip
    yield Truth("disk_saturation", culprits=(culprit.culprit,))


@scenario("commits_without_end", needs=("gcc", *LOOP_TOOLS), lasts_s=12)
def commits_without_end(stage: Stage) -> Iterator[Truth]:
    """A program commits after every line, in many processes, and fills the disk's time with that."""
    with slow_disk(stage, 400, stage.chance.uniform(1, 3), at_once=1) as slow:
        data = filled(slow.folder, 64)
        stage.python(READ, data, 4096, stage.chance.uniform(0.01, 0.04))
        slow.slow_down()
        yield Truth()
        fork = "import os, sys\nfor number in range(int(sys.argv[3])):\n    if os.fork() == 0:\n        break\n"
        code = fork + APPEND.replace("sys.argv[3]", "str(number)")
        culprit = stage.python(code, slow.folder, 0, stage.chance.randint(5, 8))
        yield Truth("disk_saturation", culprits=(culprit.culprit,))


@scenario("slow_device", needs=("gcc", *LOOP_TOOLS))
def slow_device(stage: Stage) -> Iterator[Truth]:
    """A device begins to take long for each request, at the same load."""
    with slow_disk(stage, 200, stage.chance.uniform(40, 150)) as slow:
        stage.python(READ, filled(slow.folder, 64), 4096, stage.chance.uniform(0.005, 0.03))
        yield Truth()
        slow.slow_down()
        yield Truth("disk_latency", culprits=(slow.culprit,))


@scenario("slow_device_under_a_log", needs=("gcc", *LOOP_TOOLS))
def slow_device_under_a_log(stage: Stage) -> Iterator[Truth]:
    """A device begins to take long for each write, and a program commits what it logs there."""
    with slow_disk(stage, 200, stage.chance.uniform(30, 100)) as slow:
        stage.python(APPEND, slow.folder, stage.chance.uniform(0.01, 0.04), "log")
        stage.python(COMMIT, slow.folder, stage.chance.uniform(0.01, 0.04))
        yield Truth()
        slow.slow_down()
        yield Truth("disk_latency", culprits=(slow.culprit,))


@scenario("limited_by_its_group")
def limited_by_its_group(stage: Stage) -> Iterator[Truth]:
    """A control group allows fewer requests a second than its program makes; the disk idles."""
    device = stage.folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    group = stage.cgroup("blkio", {})
    data = filled(stage.folder, 64)
    stage.python(READ, data, 4096, stage.chance.uniform(0.002, 0.01), groups=[group])
    yield Truth()
    (group / "blkio.throttle.read_iops_device").write_text(f"{number} {stage.chance.randint(8, 30)}")
    path = f"/{group.name}"
    where = Culprit((path,), (path,))
    yield Truth("disk_latency", culprits=(where,))


@scenario("commits_beside_bulk_writes", needs=("gcc", *LOOP_TOOLS))
def commits_beside_bulk_writes(stage: Stage) -> Iterator[Truth]:
    """A small database commits on a file system to which another program writes in bulk."""
    with slow_disk(stage, 900, stage.chance.uniform(5, 15), at_once=2) as slow:
        slow.slow_down()
        stage.python(COMMIT, slow.folder, stage.chance.uniform(0.05, 0.15))
        yield Truth()
        culprit = stage.python(DIRTY, slow.folder, stage.chance.randint(100, 300))
        yield Truth("fsync_stall", culprits=(culprit.culprit,))


@scenario("log_beside_a_copy", needs=("fio",), tags=("red_herring",))
def log_beside_a_copy(stage: Stage) -> Iterator[Truth]:
    """A log is committed on the disk of the machine, to which another program writes through the page cache."""
    stage.python(APPEND, stage.folder, stage.chance.uniform(0.005, 0.02), "log")
    stage.python(READ_CACHED, filled(stage.folder, 64, "cached"))
    yield Truth()
    culprit = stage.start(
        ["fio", "--name=a", f"--directory={stage.folder}", "--rw=write", "--bs=1m", "--size=400m", "--fallocate=none",
         f"--fsync={stage.chance.choice((64, 128, 256))}", "--ioengine=psync", "--time_based", "--runtime=60"]
    )  # fmt: skip
    yield Truth("fsync_stall", culprits=(culprit.culprit,))


@scenario("frozen_file_system", needs=("fsfreeze", *LOOP_TOOLS))
def frozen_file_system(stage: Stage) -> Iterator[Truth]:
    """A file system is frozen and not thawed, and those who write to it hang."""
    place = disk(stage, 100)
    stage.python(APPEND, place.folder, stage.chance.uniform(0.01, 0.05), "log")
    stage.python(COMMIT, place.folder, stage.chance.uniform(0.01, 0.05))
    yield Truth()
    with frozen(place, stage):
        yield Truth("blocked_io", culprits=(place.culprit,))


@scenario("device_that_does_not_answer", needs=("gcc", *LOOP_TOOLS))
def device_that_does_not_answer(stage: Stage) -> Iterator[Truth]:
    """A device takes requests and answers none, and those who read from it hang."""
    with slow_disk(stage, 200, NEVER) as stuck:
        data = filled(stuck.folder, 64)
        for _ in range(stage.chance.randint(1, 3)):
            stage.python(READ, data, 4096, stage.chance.uniform(0.01, 0.05))
        yield Truth()
        stuck.slow_down()
        yield Truth("blocked_io", culprits=(stuck.culprit,))


@scenario("file_system_without_its_server", needs=("gcc",))
def file_system_without_its_server(stage: Stage) -> Iterator[Truth]:
    """The program that serves a file system of FUSE stops answering, and those who read from it hang."""
    with served_file(stage, filled(stage.folder, 16), NEVER, at_once=stage.chance.randint(1, 4)) as share:
        for _ in range(stage.chance.randint(1, 4)):
            stage.python(READ, share.path, 4096, stage.chance.uniform(0.01, 0.1))
        yield Truth()
        share.slow_down()
        yield Truth("blocked_io", culprits=(share.culprit,))


@scenario("backup_with_ionice", needs=("ionice", "tar", "gcc", *LOOP_TOOLS), tags=("control",))
def backup_with_ionice(stage: Stage) -> Iterator[Truth]:
    """A backup reads whole files with the lowest priority, and nobody waits for it."""
    with slow_disk(stage, 900, stage.chance.uniform(1, 3), at_once=2) as slow:
        for number in range(stage.chance.randint(10, 12)):
            filled(slow.folder, 64, str(number))
        slow.slow_down()
        yield Truth()
        stage.start(
            [
                "sh",
                "-c",
                'ionice -c 3 tar --create --file - --directory "$0" . | cat > /dev/null; sleep 60',
                slow.folder,
            ]
        )
        yield Truth()
