"""What the kernel lets this user do with BPF, found out with the smallest program of every kind (probe.bpf.c)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.errors import SourceUnavailableError

Kind = Literal["btf_tracepoint", "ring_buffer", "task_storage", "iterator", "tracepoint", "fentry", "kprobe"]
"""A program of probe.bpf.c."""

# No event triggers these by itself: only attaching them is tested.
_NEVER_RUN = frozenset({"tracepoint", "fentry", "kprobe"})

SERVES: Mapping[Kind, str] = {
    "btf_tracepoint": "BPF on tracepoints by BTF (tp_btf)",
    "ring_buffer": "BPF ring buffer",
    "task_storage": "BPF task storage",
    "iterator": "BPF iterators",
    "tracepoint": "BPF on tracepoints by number",
    "fentry": "BPF on functions by BTF (fentry)",
    "kprobe": "BPF on functions by kprobe",
}
"""What each of them shows to work, in the order to look at them."""


def attempt(kind: Kind) -> None:
    """Load one program alone, attach it, and see it run.

    Raises:
        SourceUnavailableError: it cannot be loaded or attached, or did not run.
    """
    with Object(objects.image("probe"), "probe", programs=[kind]) as loaded:
        if kind == "iterator":
            loaded.iterate(kind)
        else:
            loaded.attach(kind)
            os.getppid()  # a system call, which those on sys_enter see
        if kind not in _NEVER_RUN and not loaded.variable("seen").value:
            raise SourceUnavailableError(f"probe/{kind}: attached, but saw nothing; report this")
