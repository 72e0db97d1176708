"""Names of functions as people write them: C++ and old Rust names by the C++ runtime library, where it is installed."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cache, lru_cache

_LONGEST = 1024
_REPEATED = re.compile(r"[ST][0-9A-Z]*_")
_MOST_REPEATED = 12
"""Places where a name repeats what stands before in it (`S0_`, `T_`): each may double it. Any user may name a function
so, and one of 200 letters takes the library a minute and gigabytes. Of 60,000 names in the C++ libraries of Debian 12,
one in 200 repeats more often; it is shown as it is."""
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_CLONE = re.compile(r"\.(?:constprop|isra|part|cold|lto_priv|llvm)\b[.\w]*$")


@cache
def _libraries() -> tuple[Callable[..., int | None], ctypes.CDLL] | None:
    try:
        runtime, libc = ctypes.CDLL("libstdc++.so.6"), ctypes.CDLL(None)
    except OSError:
        return None
    demangle = runtime["__cxa_demangle"]
    demangle.restype = ctypes.c_void_p
    libc.free.argtypes = (ctypes.c_void_p,)
    return demangle, libc


@lru_cache(maxsize=4096)
def demangled(name: str) -> str:
    """The name in the words of its source, without its parameters; the name itself where it is not mangled.

    What a compiler added when it made a copy of a function (`.constprop.0`) is left out.
    """
    plain = _CLONE.sub("", name)
    libraries = _libraries()
    if not plain.startswith("_Z") or len(plain) > _LONGEST or libraries is None or "\0" in plain:
        return plain
    if len(_REPEATED.findall(plain)) > _MOST_REPEATED:
        return plain
    demangle, libc = libraries
    status = ctypes.c_int()
    text = demangle(plain.encode(), None, None, ctypes.byref(status))
    if not text:
        return plain
    try:
        words = ctypes.string_at(text).decode("utf-8", "backslashreplace")
    finally:
        libc.free(text)
    return _RUST_HASH.sub("", _without_parameters(words))


def _without_parameters(text: str) -> str:
    """`A::f(int)` is `A::f`; parentheses within names (`(anonymous namespace)`, `operator()`) stay."""
    body = text.removesuffix(" const")
    if not body.endswith(")"):
        return text
    depth = 0
    for place in range(len(body) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(body[place], 0)
        if depth == 0:
            before = body[:place]
            return before if before and not before.endswith("operator") else text
    return text
