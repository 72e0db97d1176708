"""Loads compiled BPF objects and reads what their programs leave behind.

Programs are attached by links, which are file descriptors that nothing else holds: they detach when
the object is closed and when the process ends in any way, SIGKILL included. Nothing is pinned.
"""

from __future__ import annotations

import ctypes as c
import mmap
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self
from weakref import WeakSet

from kernelsight.collectors.bpf import abi
from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.maps import Map, Shared

Setting = int | bool | bytes


class Object:
    """A loaded object file: its programs are verified and in the kernel, but not attached yet.

    Args:
        image: the object file (see :mod:`kernelsight.collectors.bpf.objects`).
        name: what it is called in messages.
        settings: values of its `const volatile` variables, by name; bytes fill an array.
        programs: the programs to load; by default all.
        max_entries: sizes of maps that should differ from the declared ones, by name.

    Raises:
        SourceUnavailableError: libbpf, the kernel's BTF, a tracepoint or the permission is missing, or
            the verifier refuses; the message is one line with the reason and what to do.
    """

    def __init__(
        self,
        image: bytes,
        name: str,
        *,
        settings: Mapping[str, Setting] | None = None,
        programs: Collection[str] | None = None,
        max_entries: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self._lib = abi.library()
        self._links: dict[str, int] = {}
        self._rings: list[RingBuffer] = []
        self._maps: dict[str, Map] = {}
        self._memory: dict[str, mmap.mmap] = {}
        abi.forget_log()
        options = c.byref(abi.OpenOptions.of(name))
        self._object: int | None = self._lib.bpf_object__open_mem(image, len(image), options)
        if not self._object:
            raise abi.refusal(f"cannot open the BPF object {name}", c.get_errno())
        self.types = Btf(self._lib.bpf_object__btf(self._object), name)
        """The types of its maps and records; to be read while it is open."""
        try:
            self._programs = dict(self._each_program())
            self._choose(programs)
            self._settle(settings or {})
            for map_name, size in (max_entries or {}).items():
                self._lib.bpf_map__set_max_entries(self._map_pointer(map_name), size)
            # Read now: libbpf may drop what it knows of the layout once it has loaded.
            self._sections = {section: self.types.variables(section) for section in (".data", ".bss")}
            self._load()
        except BaseException:
            self.close()
            raise
        _LIVING.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def program_names(self) -> tuple[str, ...]:
        """The names of all its programs, loaded or not."""
        return tuple(self._programs)

    @property
    def attached(self) -> tuple[str, ...]:
        """The names of the programs that are attached now."""
        return tuple(self._links)

    def attach(self, *names: str) -> None:
        """Attach programs where their section names say; those that are attached already stay so.

        Raises:
            SourceUnavailableError: the kernel refuses one; none of these names is attached then.
        """
        done: list[str] = []
        for name in names:
            if name in self._links:
                continue
            abi.forget_log()
            link = self._lib.bpf_program__attach(self._programs[name])
            if not link:
                error = abi.refusal(f"cannot attach {self.name}/{name}", c.get_errno())
                self.detach(*done)
                raise error
            self._links[name] = link
            done.append(name)

    def attach_perf_event(self, name: str, fd: int) -> str:
        """Run a program at every overflow of a perf event; the descriptor then belongs to the link.

        Returns:
            the link's name, for :meth:`detach`.
        """
        abi.forget_log()
        link = self._lib.bpf_program__attach_perf_event(self._programs[name], fd)
        if not link:
            raise abi.refusal(f"cannot attach {self.name}/{name} to a perf event", c.get_errno())
        place = f"{name}@{fd}"
        self._links[place] = link
        return place

    def detach(self, *names: str) -> None:
        """Detach programs; a name that is not attached is passed over."""
        for name in names:
            if (link := self._links.pop(name, None)) is not None:
                self._lib.bpf_link__destroy(link)

    def map(self, name: str) -> Map:
        """One of its maps."""
        if name not in self._maps:
            self._maps[name] = Map(self._map_pointer(name))
        return self._maps[name]

    def variable(self, name: str) -> Shared:
        """One of its global variables that are not const, in memory shared with the programs."""
        for section, places in self._sections.items():
            if name in places:
                return Shared(self._section(section), places[name])
        raise KeyError(f"{self.name} has no global variable {name!r}")

    def ring(self, name: str) -> RingBuffer:
        """A reader of one of its ring buffers; closed with the object."""
        reader = RingBuffer(self.map(name).fd)
        self._rings.append(reader)
        return reader

    def iterate(self, name: str, over: Map | None = None) -> bytes:
        """Run an iterator program over everything it iterates and return what it wrote.

        Args:
            name: the program.
            over: the map, for a program that goes over the elements of one; always the same.
        """
        link = self._links.get(name)
        if link is None:
            abi.forget_log()
            options = c.byref(abi.IteratorOptions.of(over.fd)) if over else None
            link = self._lib.bpf_program__attach_iter(self._programs[name], options)
            if not link:
                raise abi.refusal(f"cannot attach {self.name}/{name}", c.get_errno())
            self._links[name] = link
        fd = self._lib.bpf_iter_create(self._lib.bpf_link__fd(link))
        if fd < 0:
            raise OSError(c.get_errno(), f"iterator {self.name}/{name}: {os.strerror(c.get_errno())}")
        try:
            chunks = []
            while chunk := os.read(fd, 1 << 16):
                chunks.append(chunk)
            return b"".join(chunks)
        finally:
            os.close(fd)

    def run(self, name: str) -> None:
        """Run a program of the section `raw_tp`, which is attached to nothing, once."""
        options = abi.RunOptions(c.sizeof(abi.RunOptions))
        if self._lib.bpf_prog_test_run_opts(self.program_fd(name), c.byref(options)):
            raise OSError(c.get_errno(), f"{self.name}/{name}: {os.strerror(c.get_errno())}")

    def program_fd(self, name: str) -> int:
        """The descriptor of a loaded program."""
        fd: int = self._lib.bpf_program__fd(self._programs[name])
        return fd

    @property
    def program_fds(self) -> dict[str, int]:
        """The descriptors of all loaded programs, by their names."""
        descriptors = {name: self._lib.bpf_program__fd(pointer) for name, pointer in self._programs.items()}
        return {name: fd for name, fd in descriptors.items() if fd >= 0}

    @property
    def map_fds(self) -> list[int]:
        """The descriptors of all its maps."""
        descriptors = []
        pointer = self._lib.bpf_object__next_map(self._object, None)
        while pointer:
            descriptors.append(self._lib.bpf_map__fd(pointer))
            pointer = self._lib.bpf_object__next_map(self._object, pointer)
        return [fd for fd in descriptors if fd >= 0]

    def close(self) -> None:
        """Detach everything and free it; calling it again does nothing."""
        _LIVING.discard(self)
        for ring in self._rings:
            ring.close()
        self._rings.clear()
        self.detach(*self._links)
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()
        self._maps.clear()
        if self._object:
            self._lib.bpf_object__close(self._object)
        self._object = None

    def __del__(self) -> None:
        with suppress(AttributeError):  # the constructor failed before there was anything
            self.close()

    def _load(self) -> None:
        if self._lib.bpf_object__load(self._object):
            raise abi.refusal(f"cannot load the BPF object {self.name}", c.get_errno())

    def _each_program(self) -> Iterator[tuple[str, int]]:
        pointer = self._lib.bpf_object__next_program(self._object, None)
        while pointer:
            yield self._lib.bpf_program__name(pointer).decode(), pointer
            pointer = self._lib.bpf_object__next_program(self._object, pointer)

    def _choose(self, wanted: Collection[str] | None) -> None:
        if wanted is None:
            return
        if unknown := set(wanted) - set(self._programs):
            raise KeyError(f"{self.name} has no program {', '.join(sorted(unknown))}")
        for name, pointer in self._programs.items():
            self._lib.bpf_program__set_autoload(pointer, name in wanted)

    def _settle(self, settings: Mapping[str, Setting]) -> None:
        if not settings:
            return
        places = self.types.variables(".rodata")
        start = self._lib.bpf_map__initial_value(self._map_pointer(".rodata"), c.byref(c.c_size_t()))
        for name, value in settings.items():
            if name not in places:
                raise KeyError(f"{self.name} has no setting {name!r}")
            offset, size, _ = places[name]
            raw = value if isinstance(value, bytes) else int(value).to_bytes(size, "little", signed=value < 0)
            if len(raw) != size:
                raise ValueError(f"setting {name}: {len(raw)} bytes for {size}")
            c.memmove(start + offset, raw, size)

    def _map_pointer(self, name: str) -> int:
        pointer: int | None = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
        if not pointer:
            raise KeyError(f"{self.name} has no map {name!r}")
        return pointer

    def _section(self, section: str) -> mmap.mmap:
        if section not in self._memory:
            whole = self.map(section)
            self._memory[section] = mmap.mmap(whole.fd, whole.value_size, mmap.MAP_SHARED)
        return self._memory[section]


_LIVING: WeakSet[Object] = WeakSet()


def living() -> list[Object]:
    """The objects of this process that are loaded, by their names."""
    return sorted(_LIVING, key=lambda loaded: loaded.name)


class RingBuffer:
    """Reads records out of a BPF_MAP_TYPE_RINGBUF; losses are the program's to count."""

    def __init__(self, fd: int) -> None:
        self._lib = abi.library()
        self._rings = abi.ring_library()
        self._records: list[bytes] = []
        take, string_at = self._records.append, c.string_at

        def collect(_context: int, data: int, size: int) -> int:
            take(string_at(data, size))
            return 0

        self._collect = abi.Sample(collect)  # must live as long as the reader
        self._reader: int | None = self._rings.ring_buffer__new(fd, self._collect, None, None)
        if not self._reader:
            raise OSError(c.get_errno(), f"ring buffer: {os.strerror(c.get_errno())}")

    @property
    def epoll_fd(self) -> int:
        """A descriptor that is readable when records wait."""
        fd: int = self._lib.ring_buffer__epoll_fd(self._reader)
        return fd

    def consume(self) -> list[bytes]:
        """The records that wait, oldest first; never blocks."""
        if self._rings.ring_buffer__consume(self._reader) < 0:
            raise OSError(c.get_errno(), f"ring buffer: {os.strerror(c.get_errno())}")
        records = self._records.copy()
        self._records.clear()
        return records

    def close(self) -> None:
        """Unmap it; calling it again does nothing."""
        if self._reader:
            self._lib.ring_buffer__free(self._reader)
        self._reader = None
