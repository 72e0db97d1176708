"""What a collector needs of root's power while it runs, and giving up all the rest.

Every source names the capabilities that it uses after it was opened, or to be opened again when it
has failed (`needs` of :func:`kernelsight.collectors.base.collector`); :func:`keep_only` gives up the
others once all are open:

- CAP_BPF and CAP_PERFMON for the tracers: to load them again, and, before Linux 5.19, for each read
  of a map. CAP_PERFMON for counters of a CPU that comes online later.
- CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for what /proc shows of others' processes (I/O, descriptors),
  and for mounts below directories of others.
- CAP_NET_ADMIN for taskstats, where processes are read from /proc: the kernel asks for it each time.
- CAP_SYSLOG for the kernel's log, where `kernel.dmesg_restrict` is set.
- CAP_SYS_ADMIN only when delay accounting was switched on (`-o enable_delayacct=true`): the kernel lets
  nobody else switch it back.

CAP_SYS_RESOURCE is not needed: since Linux 5.11 maps do not count as locked memory.

The user stays who it is, so root may still open root's files; who wants less starts the collectors as
another user (docs/collectors.md). The process stays dumpable, because its own files in /proc, which
it reads, would belong to root otherwise; others of the same user cannot trace it while it has a
capability that they do not have (ptrace(2)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final

from kernelsight.errors import KernelSightError

# include/uapi/linux/capability.h, prctl.h
_VERSION_3: Final = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 23, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4


class Capability(IntEnum):
    """Those of capabilities(7) that we have to do with; the values are the kernel's."""

    CAP_CHOWN = 0
    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3
    CAP_NET_ADMIN = 12
    CAP_SYS_PTRACE = 19
    CAP_SYS_ADMIN = 21
    CAP_SYS_RESOURCE = 24
    CAP_SYSLOG = 34
    CAP_PERFMON = 38
    CAP_BPF = 39


BPF = (Capability.CAP_BPF, Capability.CAP_PERFMON)
OTHERS_PROCESSES = (Capability.CAP_SYS_PTRACE, Capability.CAP_DAC_READ_SEARCH)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    """Half of each set; the kernel takes two of these, the low halves first."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _read() -> ctypes.Array[_Words]:
    words = (_Words * 2)()
    if _libc().capget(ctypes.byref(_Header(_VERSION_3, 0)), words):
        raise _failure("the capabilities of this process cannot be read")
    return words


def effective() -> frozenset[Capability]:
    """The capabilities that this thread can use now, of those that we have to do with."""
    low, high = _read()
    bits = low.effective | high.effective << 32
    return frozenset(capability for capability in Capability if bits >> capability & 1)


def missing(needed: Collection[Capability]) -> tuple[Capability, ...]:
    """Those that this thread does not have, in the order given; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON."""
    held = effective()
    if Capability.CAP_SYS_ADMIN in held:
        held = held.union(BPF)
    return tuple(capability for capability in needed if capability not in held)


def listed(capabilities: Collection[Capability]) -> str:
    """Their names, for a message."""
    *first, last = [capability.name for capability in capabilities]
    return f"{', '.join(first)} and {last}" if first else last


def limits_on_others(columns: str, proc: Path) -> list[str]:
    """The limitation of a collector that looks into others' processes, when this user may not do so.

    Args:
        columns: what stays empty.
        proc: where processes are read from; nothing is forbidden in a recording.
    """
    lacking = missing(OTHERS_PROCESSES)
    if not lacking or not (proc / str(os.getpid())).exists():
        return []
    return [f"{columns} of other users' processes: not readable without {listed(lacking)}; run as root or with them"]


def keep_only(wanted: Collection[Capability]) -> None:
    """Give up every capability but these, for good; of these, what this thread does not have it does not get.

    Only the calling thread, and those that it starts from now on: call it before there are others.

    Raises:
        KernelSightError: something other than the kernel's rules forbids it, such as a seccomp filter.
    """
    mask = sum(1 << capability for capability in wanted)
    _forbid_others(mask)
    words = _read()
    for half, word in enumerate(words):
        word.permitted &= mask >> 32 * half
        word.effective &= word.permitted
        word.inheritable = 0
    if (
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL) < 0
        or _libc().capset(ctypes.byref(_Header(_VERSION_3, 0)), words)
        or _prctl(_PR_SET_NO_NEW_PRIVS, 1) < 0
    ):
        raise _failure("capabilities cannot be given up")


def _forbid_others(mask: int) -> None:
    """Take them out of the bounding set; without CAP_SETPCAP it stays, and no_new_privs bounds exec(2) alone."""
    capability = 0
    while (bounded := _prctl(_PR_CAPBSET_READ, capability)) >= 0:
        if bounded and not mask >> capability & 1 and _prctl(_PR_CAPBSET_DROP, capability) < 0:
            return
        capability += 1


def _prctl(operation: int, argument: int) -> int:
    zero = ctypes.c_ulong(0)
    result: int = _libc().prctl(operation, ctypes.c_ulong(argument), zero, zero, zero)
    return result


def _failure(what: str) -> KernelSightError:
    return KernelSightError(f"{what}: {os.strerror(ctypes.get_errno())}; is there a seccomp filter?")
