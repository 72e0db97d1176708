"""A profile as flame-graph tools read it: a path a line, outermost first, and its samples."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.printable import printable
from kernelsight.profiles.profile import Profile


def folded(profile: Profile) -> Iterator[str]:
    """The lines: `comm;main;work 42`. Semicolons in names, which would part them, are colons."""
    for path in profile.paths:
        frames = (path.comm, *(name.text for name in path.names))
        yield f"{';'.join(printable(frame).replace(';', ':') for frame in frames)} {path.samples}"
