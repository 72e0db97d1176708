"""How the frames of a stack are written down, so that they can be named when their process is gone."""

from __future__ import annotations

import hashlib

import msgspec

NO_FILE = -1
"""The file of a frame in memory that is of no file: code that a program made at run time, or that nobody knows."""


class File(msgspec.Struct, frozen=True, array_like=True):
    """A file that code was mapped from."""

    path: str
    """As the process sees it; empty where it was not known."""
    build_id: str = ""
    """In hexadecimal digits; empty where it has none."""
    inode: str = ""
    """Device and inode as /proc/PID/maps has them: `fd:00 1234`; empty where they were not known."""


class Frames(msgspec.Struct, frozen=True, array_like=True):
    """The frames of one stack, innermost first."""

    files: tuple[File, ...] = ()
    places: tuple[tuple[int, int], ...] = ()
    """Of a program: number of the file and offset in it, or :data:`NO_FILE` and an address.

    All but the first are where the function goes on after the call: the call itself is before that.
    """
    kernel: tuple[str, ...] = ()
    """Of the kernel: `function+0x1a`, and its module in brackets."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Frames)


def encoded(frames: Frames) -> str:
    """The frames as a column holds them."""
    return _ENCODER.encode(frames).decode()


def decoded(text: str) -> Frames | None:
    """The frames that a column holds; None where it holds something else, as any client may write it."""
    try:
        frames = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    files = range(NO_FILE, len(frames.files))
    return frames if all(file in files for file, _ in frames.places) else None


def stack_id(text: str) -> int:
    """The number of a stack: 64 bits, signed, of a hash of what is written of it."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
