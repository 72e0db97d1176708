"""The lines of /proc/PID/mountinfo (proc_pid_mountinfo(5), Documentation/filesystems/proc.rst, 3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_DEVICE_NUMBER = re.compile(rb"[0-9]+:[0-9]+")
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount, its names as bytes, without the escapes of the file."""

    id: int
    parent: int
    device_number: bytes
    """`major:minor`."""
    root: bytes
    """What of the file system is mounted."""
    point: bytes
    fs_type: str
    device: bytes
    """What the file system says that it is on: a path, or any other text."""
    super_options: dict[bytes, bytes] | None
    """Options of the file system, those without a value with an empty one; None: they are not told."""
    options: frozenset[bytes] = frozenset()
    """Of this mount, such as `ro` and `noatime`."""


def parse_mount(line: bytes) -> Mount:
    """Parse a line such as ``27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw``.

    Raises:
        ValueError: it is none.
    """
    # Optional fields, any number of them, end with a lone hyphen.
    before, _, after = line.partition(b" - ")
    id_, parent, device_number, root, point, *others = before.split(b" ")
    fs_type, device, *options = after.split(b" ")
    if not fs_type or not device or not point.startswith(b"/") or not _DEVICE_NUMBER.fullmatch(device_number):
        raise ValueError("no device, place and type of a mount")
    return Mount(
        _number(id_),
        _number(parent),
        device_number,
        _unescaped(root),
        _unescaped(point),
        fs_type.decode("utf-8", "backslashreplace"),
        _unescaped(device),
        dict(option.partition(b"=")[::2] for option in options[0].split(b",")) if options and options[0] else None,
        frozenset(others[0].split(b",")) if others else frozenset(),
    )


def parse_mounts(lines: Iterable[bytes]) -> Iterator[Mount]:
    """The mounts of a file's lines, those that are none left out."""
    for line in lines:
        try:
            yield parse_mount(line)
        except ValueError:
            continue


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise ValueError(f"{digits[:40]!r} is no number of a mount")
    return int(digits)


def _unescaped(field: bytes) -> bytes:
    """The field without the octal escapes of blanks, newlines and backslashes."""
    return _ESCAPE.sub(lambda escape: bytes((int(escape[1], 8) & 0xFF,)), field) if b"\\" in field else field
