"""Block I/O, against fio and the kernel's own counters, on a loop device."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from observed import undisturbed

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.histogram import FINE
from kernelsight.collectors.bpf.io_latency import BlockIoCollector, difference

NOW = 1_800_000_000_000_000_000
SIZE = 128 << 20
SLOW_IOPS = 400
DEPTH = 64


def bucket_of(ns):
    """As in block_io.bpf.c."""
    value = ns >> 5
    if value < 32:
        return value
    log = value.bit_length() - 1
    return min(((log - 4) << 5) + ((value >> (log - 5)) & 31), FINE.buckets - 1)


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """A loop device over a file; its name."""
    if shutil.which("losetup") is None or not Path("/dev/loop-control").exists():
        pytest.skip("needs losetup and loop devices")
    file = tmp_path_factory.mktemp("loop") / "disk"
    with file.open("wb") as disk:
        for _ in range(SIZE >> 20):
            disk.write(random.randbytes(1 << 20))
    found = subprocess.run(
        ["losetup", "--find", "--show", "--direct-io=on", str(file)], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip(f"no loop device to be had: {found.stderr.strip()}")
    device = found.stdout.strip()
    Path(f"/sys/block/{Path(device).name}/queue/nomerges").write_text("2")  # fio counts what it asks for
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)
    file.unlink()


@pytest.fixture
def block_io():
    collector = BlockIoCollector(Host())
    yield collector
    collector.close()


def of_device(collector, device):
    events = [event for event in collector.collect(NOW) if event.device == Path(device).name]
    assert len(events) <= 1
    return events[0] if events else None


def almost(theirs):
    """All or nearly all: some kernels run no program for milliseconds (attention.py)."""
    return pytest.approx(theirs, rel=0.01)


@pytest.fixture
def slow_group(tmp_path):
    """A control group in which the disk below the loop device is slow; the prefix of a command that enters it.

    The latency is then the disk's alone: what fio adds to it, waking up late on a busy machine, is little.
    """
    number = tmp_path.stat().st_dev
    disk = f"{os.major(number)}:{os.minor(number)}"
    old, new = Path("/sys/fs/cgroup/blkio"), Path("/sys/fs/cgroup")
    name = f"kernelsight-test-{os.getpid()}"
    if old.is_dir():
        group = old / name
        group.mkdir()
        limits = {f"blkio.throttle.{side}_iops_device": f"{disk} {SLOW_IOPS}" for side in ("read", "write")}
    elif (new / "cgroup.controllers").is_file() and "io" in (new / "cgroup.subtree_control").read_text():
        group = new / name
        group.mkdir()
        limits = {"io.max": f"{disk} riops={SLOW_IOPS} wiops={SLOW_IOPS}"}
    else:
        pytest.skip("needs a control group that can slow a disk down (v1 blkio, or v2 with io enabled at its root)")
    try:
        for file, limit in limits.items():
            (group / file).write_text(limit)
        yield ["sh", "-c", f'echo 0 > {group}/cgroup.procs && exec "$@"', "sh"]
    except OSError as error:
        pytest.skip(f"the disk {disk} cannot be slowed down: {error}")
    finally:
        group.rmdir()


def fio(device, *options, enter=()):
    if shutil.which("fio") is None:
        pytest.skip("needs fio")
    command = ["fio", "--name=test", f"--filename={device}", "--direct=1", "--ioengine=libaio", "--output-format=json"]
    done = subprocess.run(
        [*enter, *undisturbed(), *command, "--randrepeat=1", f"--size={SIZE}", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]


def latencies(log):
    """Those that fio wrote down (ns), in their order."""
    return [int(line.split(",")[1]) for line in log.read_text().splitlines()]


@pytest.mark.root
@pytest.mark.parametrize(("mode", "side"), [("randread", "read"), ("randwrite", "write")])
def test_counts_bytes_and_percentiles_are_those_of_fio(block_io, loop, slow_group, tmp_path, mode, side):
    of_device(block_io, loop)
    options = (f"--rw={mode}", "--bs=64k", f"--iodepth={DEPTH}", "--io_size=64m", f"--write_lat_log={tmp_path}/log")
    truth = fio(loop, *options, enter=slow_group)[side]
    event = of_device(block_io, loop)
    assert getattr(event, f"{side}_count") == almost(truth["total_ios"])
    assert getattr(event, f"{side}_bytes") == almost(truth["io_bytes"])
    whole, answered = (latencies(tmp_path / f"log_{what}.1.log") for what in ("lat", "clat"))
    # The first has what fio took to ask, too. At its end fio waits for all that are in flight before it looks at any,
    # so that the last times are too long.
    at_most, at_least = sorted(whole), sorted(answered[:-DEPTH])
    # The few longest are those that were under way when fio or its CPU was held up.
    for percent, accuracy in ((50, 0.05), (95, 0.05), (99, 0.15), (100, 0.15)):
        ours = getattr(event, f"{side}_p{percent}_us" if percent < 100 else f"{side}_max_us") * 1000
        rank = math.ceil(len(whole) * percent / 100) - 1
        assert at_least[rank - DEPTH] * (1 - accuracy) <= ours <= at_most[rank] * (1 + accuracy), f"p{percent}"
    assert event.errors == 0
    assert block_io.lost == 0


@pytest.mark.root
def test_both_directions_at_once_are_those_of_fio_and_of_the_kernel(block_io, loop):
    stat = Path(f"/sys/block/{Path(loop).name}/stat")
    of_device(block_io, loop)
    before = [int(field) for field in stat.read_text().split()]
    truth = fio(loop, "--rw=randrw", "--bsrange=4k-64k", "--iodepth=8", "--io_size=64m")
    event = of_device(block_io, loop)
    after = [int(field) for field in stat.read_text().split()]
    delta = [new - old for new, old in zip(after, before, strict=True)]
    ours = [event.read_count, event.write_count, event.read_bytes, event.write_bytes]
    assert ours == almost([truth[side][what] for what in ("total_ios", "io_bytes") for side in ("read", "write")])
    kernels = [delta[0], delta[4], delta[2] * 512, delta[6] * 512]
    assert ours == almost(kernels)
    assert all(mine <= its for mine, its in zip(ours, kernels, strict=True))
    # read_ticks and write_ticks (ms) are the same sums, from allocation to completion
    assert event.queue_us + event.device_us <= (delta[3] + delta[7]) * 1000 * 1.1 + 5000


@pytest.mark.root
def test_flushes_and_discards_are_counted_apart(block_io, loop):
    stat = Path(f"/sys/block/{Path(loop).name}/stat")
    of_device(block_io, loop)
    before = [int(field) for field in stat.read_text().split()]
    fd = os.open(loop, os.O_RDWR)
    try:
        for _ in range(3):
            os.pwrite(fd, b"x" * 4096, 0)
            os.fsync(fd)
    finally:
        os.close(fd)
    subprocess.run(["blkdiscard", "--force", "--offset", "0", "--length", str(1 << 20), loop], check=True)
    event = of_device(block_io, loop)
    after = [int(field) for field in stat.read_text().split()]
    assert event.write_count == 3  # the kernel's counter has the three empty ones too that carried the flushes
    assert event.flush_count == after[15] - before[15] >= 3
    assert event.discard_count == after[11] - before[11] == 1
    assert event.discard_bytes == 1 << 20
    assert event.write_p50_us is not None
    assert event.read_p50_us is None


@pytest.mark.root
def test_an_idle_device_has_one_row_of_zeros_and_then_none(block_io, loop):
    of_device(block_io, loop)
    fio(loop, "--rw=read", "--bs=64k", "--io_size=1m")
    assert of_device(block_io, loop).read_count > 0
    idle = of_device(block_io, loop)
    assert (idle.read_count, idle.read_bytes, idle.read_p99_us) == (0, 0, None)
    assert of_device(block_io, loop) is None


def test_a_value_is_never_more_than_two_percent_from_the_middle_of_its_bucket():
    for ns in (*range(1000, 5000, 7), *(random.Random(1).randrange(1000, 1 << 39) for _ in range(5000))):
        bucket = bucket_of(ns)
        assert FINE.lower_bound(bucket) <= ns < FINE.lower_bound(bucket + 1)
        assert (FINE.lower_bound(bucket) + FINE.lower_bound(bucket + 1)) / 2 == pytest.approx(ns, rel=0.02)


def test_percentiles_are_by_nearest_rank():
    counts = [(bucket_of(1_000_000), 94), (bucket_of(2_000_000), 1), (bucket_of(9_000_000), 5)]
    p50, p95, p99 = FINE.percentiles(counts, (0.5, 0.95, 0.99))
    assert p50 == pytest.approx(1_000_000, rel=0.02)
    assert p95 == pytest.approx(2_000_000, rel=0.02)
    assert p99 == pytest.approx(9_000_000, rel=0.02)


def test_counts_that_wrap_are_still_differences():
    before, now = bytearray(4 * FINE.buckets), bytearray(4 * FINE.buckets)
    before[40:44] = (2**32 - 2).to_bytes(4, "little")
    now[40:44] = (3).to_bytes(4, "little")
    assert difference(bytes(now), bytes(before)) == [(10, 5)]
