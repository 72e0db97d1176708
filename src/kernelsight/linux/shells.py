"""Shells, by the names under which the kernel shows them."""

from __future__ import annotations

_NAMES = frozenset({
    "ash", "bash", "busybox", "csh", "dash", "elvish", "fish", "ksh", "ksh93", "mksh", "nu", "pwsh", "rbash", "sh",
    "tcsh", "xonsh", "yash", "zsh",
})  # fmt: skip


def is_shell(comm: str) -> bool:
    """Whether a program, by its name, is a shell: it runs a script, or what its user types."""
    return comm in _NAMES
