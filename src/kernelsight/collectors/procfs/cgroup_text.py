"""The files of one control group: text in, columns out.

Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/{cpuacct,memory,blkio-controller,pids}.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kernelsight.collectors.damage import note, parsing
from kernelsight.collectors.text import number, numbers, pairs, without_cut
from kernelsight.events.cgroup import Cgroup

V2_ACTIVITY = ("cpu.stat", "memory.current")
V2_USE = ("memory.stat", "memory.events", "memory.swap.current", "io.stat", "io.max", "pids.current", "pids.events")
V2_LIMITS = ("cpu.max", "cpu.weight", "memory.max", "memory.high", "pids.max")

V1_ACTIVITY = {
    "cpu": ("cpu.stat",),
    "cpuacct": ("cpuacct.usage",),
    "memory": ("memory.usage_in_bytes",),
    "blkio": ("blkio.throttle.io_serviced_recursive",),
    "pids": ("pids.current", "pids.events"),
}
V1_USE = {
    "cpuacct": ("cpuacct.usage_user", "cpuacct.usage_sys"),
    "memory": ("memory.stat", "memory.failcnt", "memory.oom_control", "memory.kmem.usage_in_bytes"),
    "blkio": (
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device",
        "blkio.throttle.write_iops_device",
    ),
}
V1_LIMITS = {
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"),
    "memory": ("memory.limit_in_bytes",),
    "pids": ("pids.max",),
}

_V1_THROTTLES = ("read_bps", "write_bps", "read_iops", "write_iops")
_BY_DEVICE = ("io.", "blkio.")
_DEVICE = re.compile(rb"[0-9]+:[0-9]+")
_OPERATIONS = (b"Read", b"Write", b"Sync", b"Async", b"Discard", b"Total")
_BY_OPERATION = re.compile(rb"(?:[0-9]+:[0-9]+ (?:%s) [0-9]+\n)*(?:Total [0-9]+\n)?" % b"|".join(_OPERATIONS))
_OF_AN_OPERATION = (b" Read ", b" Write ")
_NO_NUMBER = (b"", b"max", b"-1")
_UNLIMITED = 1 << 62
"""Version 1 has no word for no limit: it is the largest number of whole pages, 9223372036854771712 with 4 kB."""


def fill_v2(event: Cgroup, texts: Mapping[str, bytes]) -> None:
    """Set the columns that the files of version 2 tell, by file name; absent files leave theirs as they are."""
    texts = whole(texts)
    if said := texts.get("cpu.stat"):
        cpu = _pairs(said)
        event.cpu_usage_us = cpu.get(b"usage_usec")
        event.cpu_user_us, event.cpu_system_us = cpu.get(b"user_usec"), cpu.get(b"system_usec")
        event.cpu_periods, event.cpu_throttled_periods = cpu.get(b"nr_periods"), cpu.get(b"nr_throttled")
        event.cpu_throttled_us = cpu.get(b"throttled_usec")
    if said := texts.get("cpu.max"):
        quota, _, period = said.partition(b" ")
        event.cpu_quota_us, event.cpu_period_us = limit(quota), limit(period)
    event.cpu_weight = limit(texts.get("cpu.weight"))
    event.memory_current_bytes = limit(texts.get("memory.current"))
    event.memory_limit_bytes = limit(texts.get("memory.max"))
    event.memory_high_bytes = limit(texts.get("memory.high"))
    event.memory_swap_bytes = limit(texts.get("memory.swap.current"))
    if said := texts.get("memory.stat"):
        memory = b"\n" + said
        event.memory_anon_bytes, event.memory_file_bytes = _value(memory, b"anon"), _value(memory, b"file")
        event.memory_shmem_bytes = _value(memory, b"shmem")
        event.memory_slab_bytes = _value(memory, b"slab")
        event.memory_slab_unreclaimable_bytes = _value(memory, b"slab_unreclaimable")
        event.memory_dirty_bytes, event.memory_pgmajfault = _value(memory, b"file_dirty"), _value(memory, b"pgmajfault")
        event.memory_refaults = _refaults(memory, b"")
    if said := texts.get("memory.events"):
        happened = _pairs(said)
        event.memory_high_events, event.memory_max_events = happened.get(b"high"), happened.get(b"max")
        event.memory_oom_events, event.memory_oom_kills = happened.get(b"oom"), happened.get(b"oom_kill")
    if (said := texts.get("io.stat")) is not None:
        event.io_read_bytes, event.io_write_bytes = _sum(said, b" rbytes="), _sum(said, b" wbytes=")
        event.io_read_ios, event.io_write_ios = _sum(said, b" rios="), _sum(said, b" wios=")
    if said := texts.get("io.max"):
        event.io_read_bytes_limit, event.io_write_bytes_limit = _least(said, b" rbps="), _least(said, b" wbps=")
        event.io_read_ios_limit, event.io_write_ios_limit = _least(said, b" riops="), _least(said, b" wiops=")
        used = texts.get("io.stat", b"")
        event.io_limited_read_bytes = _of_limited(said, b" rbps=", used, b" rbytes=")
        event.io_limited_write_bytes = _of_limited(said, b" wbps=", used, b" wbytes=")
        event.io_limited_read_ios = _of_limited(said, b" riops=", used, b" rios=")
        event.io_limited_write_ios = _of_limited(said, b" wiops=", used, b" wios=")
    _fill_pids(event, texts)


def fill_v1(event: Cgroup, texts: Mapping[str, bytes]) -> None:
    """Set the columns that the files of version 1 tell; in a hybrid set-up, each controller is in one version only.

    Only CPU time may be there twice (version 2 always has it): then that of version 2 stays.
    """
    texts = whole(texts)
    if event.cpu_usage_us is None:
        event.cpu_usage_us = _thousandth(texts.get("cpuacct.usage"))
        event.cpu_user_us = _thousandth(texts.get("cpuacct.usage_user"))
        event.cpu_system_us = _thousandth(texts.get("cpuacct.usage_sys"))
    if said := texts.get("cpu.stat"):
        cpu = _pairs(said)
        event.cpu_periods, event.cpu_throttled_periods = cpu.get(b"nr_periods"), cpu.get(b"nr_throttled")
        throttled_ns = cpu.get(b"throttled_time")
        event.cpu_throttled_us = None if throttled_ns is None else throttled_ns // 1000
    if "cpu.shares" in texts:
        event.cpu_quota_us = limit(texts.get("cpu.cfs_quota_us"))  # -1: none
        event.cpu_period_us = limit(texts.get("cpu.cfs_period_us"))
        event.cpu_weight = limit(texts.get("cpu.shares"))
    if said := texts.get("memory.usage_in_bytes"):
        event.memory_current_bytes = limit(said)
        event.memory_limit_bytes = limit(texts.get("memory.limit_in_bytes"))
        event.memory_max_events = limit(texts.get("memory.failcnt"))
        event.memory_oom_kills = _pairs(texts.get("memory.oom_control", b"")).get(b"oom_kill")
        event.memory_slab_bytes = limit(texts.get("memory.kmem.usage_in_bytes"))
    if said := texts.get("memory.stat"):
        memory = b"\n" + said
        event.memory_anon_bytes, event.memory_file_bytes = _value(memory, b"total_rss"), _value(memory, b"total_cache")
        event.memory_shmem_bytes = _value(memory, b"total_shmem")
        event.memory_dirty_bytes = _value(memory, b"total_dirty")
        event.memory_swap_bytes = _value(memory, b"total_swap")
        event.memory_pgmajfault = _value(memory, b"total_pgmajfault")
        event.memory_refaults = _refaults(memory, b"total_")
    if (said := texts.get("blkio.throttle.io_service_bytes_recursive")) is not None:
        event.io_read_bytes, event.io_write_bytes = _sum(said, b" Read "), _sum(said, b" Write ")
    if (said := texts.get("blkio.throttle.io_serviced_recursive")) is not None:
        event.io_read_ios, event.io_write_ios = _sum(said, b" Read "), _sum(said, b" Write ")
    if "blkio.throttle.read_bps_device" in texts:
        event.io_read_bytes_limit = _least(texts["blkio.throttle.read_bps_device"], b" ")
        event.io_write_bytes_limit = _least(texts.get("blkio.throttle.write_bps_device", b""), b" ")
        event.io_read_ios_limit = _least(texts.get("blkio.throttle.read_iops_device", b""), b" ")
        event.io_write_ios_limit = _least(texts.get("blkio.throttle.write_iops_device", b""), b" ")
        moved = texts.get("blkio.throttle.io_service_bytes_recursive", b"")
        made = texts.get("blkio.throttle.io_serviced_recursive", b"")
        limits = {file: texts.get(f"blkio.throttle.{file}_device", b"") for file in _V1_THROTTLES}
        event.io_limited_read_bytes = _of_limited(limits["read_bps"], b" ", moved, b" Read ")
        event.io_limited_write_bytes = _of_limited(limits["write_bps"], b" ", moved, b" Write ")
        event.io_limited_read_ios = _of_limited(limits["read_iops"], b" ", made, b" Read ")
        event.io_limited_write_ios = _of_limited(limits["write_iops"], b" ", made, b" Write ")
    if "pids.current" in texts:
        _fill_pids(event, texts)


def _fill_pids(event: Cgroup, texts: Mapping[str, bytes]) -> None:
    event.pids_current, event.pids_limit = limit(texts.get("pids.current")), limit(texts.get("pids.max"))
    event.pids_limit_events = _pairs(texts.get("pids.events", b"")).get(b"max")


def cpu_time(texts: Mapping[str, bytes]) -> int:
    """CPU time (us) in the files of activity; 0 where none has it."""
    texts = whole(texts)
    said = _pairs(texts.get("cpu.stat", b"")).get(b"usage_usec")  # in version 1 it only tells of the quota
    return _thousandth(texts.get("cpuacct.usage")) or 0 if said is None else said


def memory_use(texts: Mapping[str, bytes]) -> int:
    """Bytes in use in the files of activity; 0 where none has it."""
    texts = whole(texts)
    return limit(texts.get("memory.current", texts.get("memory.usage_in_bytes"))) or 0


def whole(texts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The texts as far as they are whole; one of which sums are made over its lines is left out when it is cut."""
    if all(text.endswith(b"\n") or not text for text in texts.values()):
        return texts
    kept = {}
    for file, text in texts.items():
        with parsing(f"{file} of control groups", text):
            clean = without_cut(text)
        if (clean == text.rstrip(b"\0") and bool(clean) == bool(text)) or not file.startswith(_BY_DEVICE):
            kept[file] = clean
    return kept


def limit(text: bytes | None) -> int | None:
    """One number; None: there is no such file, it says `max`, or it is version 1's way to say so."""
    if text is None:
        return None
    stripped = text.strip()
    if stripped in _NO_NUMBER:
        return None
    value = number(stripped)
    return value if value is not None and value < _UNLIMITED else None


def _thousandth(text: bytes | None) -> int | None:
    value = limit(text)
    return None if value is None else value // 1000


def _pairs(text: bytes) -> dict[bytes, int]:
    """Lines of a key and a number; others are noted and left out."""
    words = pairs(text.splitlines(), b" ")
    values = dict(zip(words, numbers(list(words.values())), strict=True))
    return {key: value for key, value in values.items() if value is not None}


def _value(text: bytes, key: bytes) -> int | None:
    """The number of one key in a long file, of which few are wanted; a line feed stands before each line."""
    start = text.find(b"\n" + key + b" ")
    if start < 0:
        return None
    start += len(key) + 2
    end = text.find(b"\n", start)
    return number(text[start : end if end >= 0 else None])


def _refaults(memory: bytes, prefix: bytes) -> int | None:
    """Pages that came back soon after they were evicted; counted apart for files and the rest since Linux 5.9."""
    of_files = _value(memory, prefix + b"workingset_refault_file")
    if of_files is None:
        return _value(memory, prefix + b"workingset_refault")
    of_the_rest = _value(memory, prefix + b"workingset_refault_anon")
    return None if of_the_rest is None else of_files + of_the_rest


def _least(text: bytes, label: bytes) -> int | None:
    """The least of the numbers behind a label, over devices; None where there is no limit, or one cannot be read."""
    words = _of_devices(text, label)
    if not words:
        return None
    values = [number(word) for word in words if word != b"max"]
    return min((value for value in values if value is not None), default=None) if None not in values else None


def _of_limited(limits: bytes, limit_label: bytes, used: bytes, label: bytes) -> int | None:
    """What was used of the device that has the lowest limit; None where none has one, or it does not tell."""
    if not limits:
        return None
    least: tuple[int, bytes] | None = None
    for device, word in _numbers_of(limits, limit_label):
        if word.isdigit() and (least is None or int(word) < least[0]):
            least = int(word), device
    found = [word for device, word in _numbers_of(used, label) if least and device == least[1]]
    return number(found[0]) if found else None


def _numbers_of(text: bytes, label: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Device and the word behind a label, of each line that has both."""
    for line in text.splitlines():
        device, _, rest = line.partition(b" ")
        _, separator, behind = (b" " + rest).partition(label)
        if separator and _DEVICE.fullmatch(device):
            yield device, behind.partition(b" ")[0]


def _sum(text: bytes, label: bytes) -> int | None:
    """The sum over devices of the number behind a label; None where one of them cannot be read."""
    words = _of_devices(text, label)
    if not words:
        return None if words is None else 0
    values = [number(word) for word in words]
    return None if None in values else sum(value for value in values if value is not None)


def _of_devices(text: bytes, label: bytes) -> list[bytes] | None:
    """The word behind a label, of each device; None where a line is odd.

    Lines are ``8:0 rbytes=1 wbytes=2`` (a device may have none), ``8:0 Read 1`` or ``8:0 1``; a last one is the total.
    """
    if label in _OF_AN_OPERATION and _BY_OPERATION.fullmatch(text):
        return [part.partition(b"\n")[0] for part in text.split(label)[1:]]
    return _of_each_device(text, label)


def _of_each_device(text: bytes, label: bytes) -> list[bytes] | None:
    """As :func:`_of_devices`, line by line."""
    words = []
    for line in text.splitlines():
        device, _, rest = line.partition(b" ")
        if device == b"Total":
            continue
        _, separator, behind = (b" " + rest).partition(label)
        if separator:
            words.append(behind.partition(b" ")[0])
        elif rest.strip() and rest.partition(b" ")[0] not in _OPERATIONS:
            note("no such number", line)
            return None
        if not _DEVICE.fullmatch(device):
            note("no device", line)
            return None
    return words
