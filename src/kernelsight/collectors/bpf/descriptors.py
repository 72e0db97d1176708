"""A pass over all descriptors of all processes (iter/task_file), by one of the programs of socket_owners.bpf.c."""

from __future__ import annotations

import time

from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.libbpf import Object

_REST = 500
"""Pause for so many times as long as a pass took: 0.2 % of a core on a machine with very many descriptors."""


class DescriptorPass:
    """A loaded program, and how long to rest after it ran."""

    def __init__(self, program: str) -> None:
        self.object = Object(objects.image("socket_owners"), "socket_owners", programs={program})
        self.rest_ns = 0
        self._program = program

    def run(self) -> bytes:
        """Go over all descriptors once; what the program wrote."""
        began = time.thread_time_ns()
        written = self.object.iterate(self._program)
        self.rest_ns = _REST * (time.thread_time_ns() - began)
        return written

    def close(self) -> None:
        """Remove the program from the kernel."""
        self.object.close()
