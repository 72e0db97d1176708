"""libbpf.so.1 (1.0 or later) as ctypes sees it: its functions, its log, and its way of failing."""

from __future__ import annotations

import ctypes as c
import errno
import os
import sys
from collections import deque
from functools import cache
from pathlib import Path

from kernelsight.collectors import privileges
from kernelsight.errors import SourceUnavailableError

LIBRARY = "libbpf.so.1"
KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")
LONGEST_MESSAGE = (1 << 24) + 4096  # the verifier's log, of which libbpf takes 16 MiB, is one message; its end matters

# (name, result, arguments); None is void, P any pointer.
P = c.c_void_p
Print = c.CFUNCTYPE(c.c_int, c.c_int, P, P)
# Called with the interpreter's lock held, like the functions of a PyDLL: half the cost a record.
Sample = c.PYFUNCTYPE(c.c_int, P, P, c.c_size_t)

_FUNCTIONS: tuple[tuple[str, type | None, tuple[type, ...]], ...] = (
    ("libbpf_set_print", P, (P,)),
    ("libbpf_strerror", c.c_int, (c.c_int, c.c_char_p, c.c_size_t)),
    ("libbpf_num_possible_cpus", c.c_int, ()),
    ("libbpf_version_string", c.c_char_p, ()),
    ("bpf_object__open_mem", P, (c.c_char_p, c.c_size_t, P)),
    ("bpf_object__load", c.c_int, (P,)),
    ("bpf_object__close", None, (P,)),
    ("bpf_object__btf", P, (P,)),
    ("bpf_object__next_program", P, (P, P)),
    ("bpf_object__next_map", P, (P, P)),
    ("bpf_object__find_map_by_name", P, (P, c.c_char_p)),
    ("bpf_program__name", c.c_char_p, (P,)),
    ("bpf_program__set_autoload", c.c_int, (P, c.c_bool)),
    ("bpf_program__fd", c.c_int, (P,)),
    ("bpf_prog_test_run_opts", c.c_int, (c.c_int, P)),
    ("bpf_program__attach", P, (P,)),
    ("bpf_program__attach_perf_event", P, (P, c.c_int)),
    ("bpf_program__attach_iter", P, (P, P)),
    ("bpf_link__fd", c.c_int, (P,)),
    ("bpf_link__destroy", c.c_int, (P,)),
    ("bpf_iter_create", c.c_int, (c.c_int,)),
    ("bpf_enable_stats", c.c_int, (c.c_int,)),
    ("bpf_map__name", c.c_char_p, (P,)),
    ("bpf_map__fd", c.c_int, (P,)),
    ("bpf_map__type", c.c_int, (P,)),
    ("bpf_map__key_size", c.c_uint32, (P,)),
    ("bpf_map__value_size", c.c_uint32, (P,)),
    ("bpf_map__max_entries", c.c_uint32, (P,)),
    ("bpf_map__set_max_entries", c.c_int, (P, c.c_uint32)),
    ("bpf_map__initial_value", P, (P, c.POINTER(c.c_size_t))),
    ("bpf_map_lookup_elem", c.c_int, (c.c_int, P, P)),
    ("bpf_map_update_elem", c.c_int, (c.c_int, P, P, c.c_uint64)),
    ("bpf_map_delete_elem", c.c_int, (c.c_int, P)),
    ("bpf_map_get_next_key", c.c_int, (c.c_int, P, P)),
    ("bpf_map_lookup_batch", c.c_int, (c.c_int, P, P, P, P, c.POINTER(c.c_uint32), P)),
    ("bpf_map_lookup_and_delete_batch", c.c_int, (c.c_int, P, P, P, P, c.POINTER(c.c_uint32), P)),
    ("btf__load_vmlinux_btf", P, ()),
    ("btf__free", None, (P,)),
    ("btf__find_by_name_kind", c.c_int32, (P, c.c_char_p, c.c_uint32)),
    ("btf__type_by_id", P, (P, c.c_uint32)),
    ("btf__name_by_offset", c.c_char_p, (P, c.c_uint32)),
    ("ring_buffer__free", None, (P,)),
    ("ring_buffer__epoll_fd", c.c_int, (P,)),
)


class OpenOptions(c.Structure):
    """The first members of struct bpf_object_open_opts; libbpf takes the size as the version."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("object_name", c.c_char_p),
        ("relaxed_maps", c.c_bool),
        ("pin_root_path", c.c_char_p),
        ("removed", c.c_uint32),
        ("kconfig", c.c_char_p),
        ("btf_custom_path", c.c_char_p),
    )

    @classmethod
    def of(cls, name: str) -> OpenOptions:
        """The options for an object of this name.

        A type that vmlinux does not have is looked for in the modules, unless a file is named. Only
        CAP_SYS_ADMIN may list those, libbpf 1.1 gives up without it, and none of ours is in a module.
        """
        may_list = privileges.Capability.CAP_SYS_ADMIN in privileges.effective()
        return cls(c.sizeof(cls), name.encode(), btf_custom_path=None if may_list else bytes(KERNEL_BTF))


class RunOptions(c.Structure):
    """struct bpf_test_run_opts; only its size is needed to run a program without a context."""

    _fields_ = (("sz", c.c_size_t), ("unused", c.c_uint8 * 72))


class LinkInfo(c.Structure):
    """The first member of union bpf_iter_link_info; the kernel takes a shorter one."""

    _fields_ = (("map_fd", c.c_uint32),)


class IteratorOptions(c.Structure):
    """struct bpf_iter_attach_opts: what an iterator over the elements of a map goes over."""

    _fields_ = (("sz", c.c_size_t), ("link_info", c.POINTER(LinkInfo)), ("link_info_len", c.c_uint32))

    @classmethod
    def of(cls, map_fd: int) -> IteratorOptions:
        """The options for a map."""
        return cls(c.sizeof(cls), c.pointer(LinkInfo(map_fd)), c.sizeof(LinkInfo))


class _Log:
    """libbpf's warnings, kept to be the reason of a failure and otherwise not shown."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=400)
        self._vsnprintf = c.CDLL(None).vsnprintf
        self._vsnprintf.argtypes = (P, c.c_size_t, P, P)
        self.callback = Print(self._print)

    def _print(self, level: int, template: int, values: int) -> int:
        if level == 0:  # LIBBPF_WARN
            # A va_list is passed by address on x86-64 and arm64, so a plain pointer stands for it.
            message = c.create_string_buffer(LONGEST_MESSAGE)
            self._vsnprintf(message, LONGEST_MESSAGE, template, values)
            self.lines.extend(message.value.decode("utf-8", "replace").splitlines())
        return 0


_LOG = _Log()


@cache
def library() -> c.CDLL:
    """The library, opened once.

    Raises:
        SourceUnavailableError: it is not installed, or is older than 1.0.
    """
    try:
        lib = c.CDLL(LIBRARY, use_errno=True)
        for name, result, arguments in _FUNCTIONS:
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise SourceUnavailableError(f"{LIBRARY} 1.0 or later is missing ({error}): apt install libbpf1") from None
    lib.libbpf_set_print(_LOG.callback)
    return lib


@cache
def ring_library() -> c.PyDLL:
    """The two functions that call back into Python, through a handle that keeps the interpreter's lock."""
    library()
    lib = c.PyDLL(LIBRARY, use_errno=True)
    lib.ring_buffer__new.restype = P
    lib.ring_buffer__new.argtypes = (c.c_int, Sample, P, P)
    lib.ring_buffer__consume.restype = c.c_int
    lib.ring_buffer__consume.argtypes = (P,)
    return lib


def forget_log() -> None:
    """Begin a new operation: what libbpf said before has nothing to do with it."""
    _LOG.lines.clear()


def refusal(what: str, code: int) -> SourceUnavailableError:
    """One clear line for an operation that libbpf or the kernel refused, with what to do about it."""
    if not KERNEL_BTF.exists():
        return SourceUnavailableError(f"{what}: no {KERNEL_BTF}; use a kernel built with CONFIG_DEBUG_INFO_BTF")
    lacking = privileges.missing(privileges.BPF)
    if code in (errno.EPERM, errno.EACCES) and lacking:
        return SourceUnavailableError(
            f"{what}: not permitted without {privileges.listed(lacking)}; run as root or with CAP_BPF and CAP_PERFMON"
        )
    if code == errno.EMFILE:
        return SourceUnavailableError(f"{what}: {os.strerror(code)}; raise the limit (ulimit -n)")
    reason = _verifier_complaint() or _last_warning()
    text = c.create_string_buffer(128)
    library().libbpf_strerror(code, text, len(text))  # knows errno, and libbpf's own codes past 4000
    return SourceUnavailableError(f"{what}: {text.value.decode()}" + (f" ({reason})" if reason else ""))


def _verifier_complaint() -> str:
    """The line of the verifier's log that says what it objects to: the one before its statistics."""
    previous = ""
    for line in _LOG.lines:
        if line.startswith("processed ") and " insns " in line:
            return previous.strip()
        if line.strip() and not line.startswith("--"):
            previous = line
    return ""


_WITHOUT_A_REASON = ("failed to load object", "failed to iterate BTF objects", "-- ")


def _last_warning() -> str:
    interesting = [
        line.removeprefix("libbpf: ")
        for line in _LOG.lines
        if line.startswith("libbpf: ") and not any(other in line for other in _WITHOUT_A_REASON)
    ]
    return interesting[0] if interesting else ""


def kernel_knows(name: str) -> bool:
    """Whether the kernel's BTF has this name: a struct, a function, or `btf_trace_NAME` for a tracepoint."""
    return b"\0" + name.encode() + b"\0" in _kernel_names()


@cache
def _kernel_names() -> bytes:
    """The string section of the kernel's BTF (struct btf_header: magic, version, flags, lengths, offsets)."""
    try:
        with KERNEL_BTF.open("rb") as file:
            header = file.read(24)
            header_size, start, size = (int.from_bytes(header[i : i + 4], sys.byteorder) for i in (4, 16, 20))
            file.seek(header_size + start)
            return file.read(size)
    except FileNotFoundError:
        return b""
