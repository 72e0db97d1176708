"""The compiled programs: ARCHITECTURE/NAME.bpf.o, made by `make -C bpf` and committed."""

from __future__ import annotations

import platform
from pathlib import Path

from kernelsight.errors import SourceUnavailableError

ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def image(name: str) -> bytes:
    """The object file of a tracer for this machine.

    Raises:
        SourceUnavailableError: there is none for this architecture.
    """
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine)
    if architecture is None:
        raise SourceUnavailableError(f"no BPF programs for {machine}; there are some for x86_64 and aarch64")
    return (Path(__file__).parent / architecture / f"{name}.bpf.o").read_bytes()
