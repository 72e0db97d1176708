"""Maps of a loaded object: single elements, whole hashes in batches, and variables in shared memory."""

from __future__ import annotations

import ctypes as c
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from struct import Struct, calcsize

from kernelsight.collectors.bpf import abi
from kernelsight.collectors.bpf.btf import Variable

PERCPU_TYPES = {5, 6, 10}  # BPF_MAP_TYPE_PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH
BATCH = 1024
_BATCH_BYTES = 1 << 18
_LEAST_BATCH = 64  # more than any chain of a hash, which one batch must hold


class Map:
    """One map. Keys and values are bytes as the C struct lays them out.

    The value of a per-CPU map is that of every possible CPU, one after the other, each padded to
    a multiple of eight bytes (:attr:`stride`).
    """

    def __init__(self, pointer: int) -> None:
        self._lib = abi.library()
        self.name = self._lib.bpf_map__name(pointer).decode()
        self.fd: int = self._lib.bpf_map__fd(pointer)
        self.key_size: int = self._lib.bpf_map__key_size(pointer)
        self.max_entries: int = self._lib.bpf_map__max_entries(pointer)
        self.stride: int = self._lib.bpf_map__value_size(pointer)
        self.copies = 1
        if self._lib.bpf_map__type(pointer) in PERCPU_TYPES:
            self.stride = (self.stride + 7) & ~7
            self.copies = self._lib.libbpf_num_possible_cpus()
        self.value_size = self.stride * self.copies
        self._batch: tuple[c.Array[c.c_char], c.Array[c.c_char]] | None = None

    def lookup(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        value = c.create_string_buffer(self.value_size)
        if self._lib.bpf_map_lookup_elem(self.fd, key, value) == 0:
            return value.raw
        if c.get_errno() == errno.ENOENT:
            return None
        raise self._failure("lookup")

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        if len(key) != self.key_size or len(value) != self.value_size:
            raise ValueError(f"map {self.name}: {len(key)}+{len(value)} bytes, not {self.key_size}+{self.value_size}")
        if self._lib.bpf_map_update_elem(self.fd, key, value, 0):
            raise self._failure("update")

    def delete(self, key: bytes) -> bool:
        """Delete a key; whether it was there."""
        if self._lib.bpf_map_delete_elem(self.fd, key) == 0:
            return True
        if c.get_errno() == errno.ENOENT:
            return False
        raise self._failure("delete")

    def drain(self) -> tuple[bytes, bytes]:
        """All keys and all values of a hash, each as one run of bytes in the same order; the hash is emptied.

        What a program on another CPU adds between looking an element up and our taking it is lost: of the
        sums that are drained once a second, one in some millions.
        """
        return self._read_all(self._lib.bpf_map_lookup_and_delete_batch)

    def read(self) -> tuple[bytes, bytes]:
        """As :meth:`drain`, but nothing is deleted."""
        return self._read_all(self._lib.bpf_map_lookup_batch)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """The elements one by one."""
        keys, values = self.read()
        for i in range(len(keys) // self.key_size):
            yield (
                keys[i * self.key_size : (i + 1) * self.key_size],
                values[i * self.value_size : (i + 1) * self.value_size],
            )

    def numbers(self, keys: bytes) -> Sequence[int]:
        """The keys of a map whose keys are unsigned integers, in one run of bytes as :meth:`drain` gives them."""
        numbers: memoryview[int] = memoryview(keys).cast("Q" if self.key_size == 8 else "I")
        return numbers

    def _read_all(self, operation: c._NamedFuncPointer) -> tuple[bytes, bytes]:
        # Chunks, so that a large per-CPU hash on a large machine needs no buffer of its full size.
        fitting = max(_LEAST_BATCH, _BATCH_BYTES // self.value_size)
        size = min(self.max_entries, BATCH, fitting)
        if self._batch is None:
            self._batch = (
                c.create_string_buffer(size * self.key_size),
                c.create_string_buffer(size * self.value_size),
            )
        keys, values = self._batch
        position = c.create_string_buffer(max(self.key_size, 4))
        all_keys, all_values = bytearray(), bytearray()
        start: c.Array[c.c_char] | None = None
        while True:
            count = c.c_uint32(size)
            failed = operation(self.fd, start, position, keys, values, c.byref(count), None)
            code = c.get_errno() if failed else 0
            if code not in (0, errno.ENOENT):
                raise self._failure("batch")
            all_keys += memoryview(keys)[: count.value * self.key_size]
            all_values += memoryview(values)[: count.value * self.value_size]
            if code == errno.ENOENT:
                return bytes(all_keys), bytes(all_values)
            start = position

    def _failure(self, what: str) -> OSError:
        code = c.get_errno()
        return OSError(code, f"map {self.name}: {what}: {os.strerror(code)}")


class Shared:
    """Variables that the programs write and we read, or the other way round, without a system call."""

    def __init__(self, memory: mmap.mmap, variable: Variable) -> None:
        self._memory, (self._offset, self._size, self._code) = memory, variable

    @property
    def raw(self) -> bytes:
        """All its bytes."""
        return self._memory[self._offset : self._offset + self._size]

    @raw.setter
    def raw(self, value: bytes) -> None:
        if len(value) != self._size:
            raise ValueError(f"{len(value)} bytes for a variable of {self._size}")
        self._memory[self._offset : self._offset + self._size] = value

    @property
    def values(self) -> tuple[int, ...]:
        """The integers of an array."""
        values: tuple[int, ...] = self._array().unpack(self.raw)
        return values

    @values.setter
    def values(self, values: tuple[int, ...]) -> None:
        self.raw = self._array().pack(*values)

    def _array(self) -> Struct:
        if self._code is None:
            raise TypeError("the variable is no array of integers")
        return Struct(f"<{self._size // calcsize(f'<{self._code}')}{self._code}")

    @property
    def value(self) -> int:
        """As one unsigned integer."""
        return int.from_bytes(self.raw, "little")

    @value.setter
    def value(self, value: int) -> None:
        self.raw = value.to_bytes(self._size, "little")
