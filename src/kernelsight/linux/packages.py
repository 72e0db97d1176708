"""What package managers write down of their work, and which files a package has.

dpkg(1) `--log`, pacman(8) (lib/libalpm/log.c), dnf's `dnf.rpm.log`, and the lists of files in /var/lib/dpkg/info.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

Action = Literal["installed", "upgraded", "removed"]

NS_PER_S = 1_000_000_000
_MOST_FILES = 40
_LONGEST_LIST = 4_000
_NONE = "<none>"
_PROGRAM = re.compile(r"/(?:[^/\s]+/)*(?:s?bin|libexec|games)/[^/\s]+")
_UNIT = re.compile(r"(?:/usr)?/lib/systemd/system/([^/\s]+\.(?:service|socket|timer|mount))")


class Work(NamedTuple):
    """One thing that a package manager did."""

    happened_ns: int
    package: str
    action: Action
    version: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a package manager."""

    manager: str
    path: str
    line: re.Pattern[str]
    """With the groups `time`, `action`, `package`, and mostly `new` and `old`."""
    actions: Mapping[str, Action]


LOGS = (
    Log(
        "dpkg",
        "/var/log/dpkg.log",
        re.compile(
            r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<action>install|upgrade|remove|purge) (?P<package>\S{1,200}) "
            r"(?P<old>\S{1,200}) (?P<new>\S{1,200})"
        ),
        {"install": "installed", "upgrade": "upgraded", "remove": "removed", "purge": "removed"},
    ),
    Log(
        "pacman",
        "/var/log/pacman.log",
        re.compile(
            r"\[(?P<time>[\d-]{10}T[\d:]{8}[+-]\d{4})\] \[ALPM\] (?P<action>installed|upgraded|downgraded|removed) "
            r"(?P<package>\S{1,200}) \((?:(?P<old>\S{1,200}) -> )?(?P<new>\S{1,200})\)"
        ),
        {"installed": "installed", "upgraded": "upgraded", "downgraded": "upgraded", "removed": "removed"},
    ),
    Log(
        "dnf",
        "/var/log/dnf.rpm.log",
        re.compile(
            r"(?P<time>[\d-]{10}T[\d:]{8}[+-]\d{4}) SUBDEBUG (?P<action>Installed|Upgrade|Downgrade|Erase|Removed): "
            r"(?P<package>\S{1,200}?)-(?P<new>[^-\s]{1,100}-[^-\s]{1,100})"
        ),
        {
            "Installed": "installed", "Upgrade": "upgraded", "Downgrade": "upgraded", "Erase": "removed",
            "Removed": "removed",
        },
    ),
)  # fmt: skip
DATABASES: Mapping[str, tuple[str, ...]] = {
    "rpm": ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages"),
    "apk": ("/lib/apk/db/installed",),
}
"""Files that are written when packages change, of managers whose log does not say which."""


def parse_work(log: Log, line: str) -> Work | None:
    """What a line of a log says that was done; None: nothing, or nothing of a package.

    Times without a zone are those of the zone of this process.
    """
    match = log.line.fullmatch(line)
    if match is None:
        return None
    try:
        happened = datetime.fromisoformat(match["time"])
        happened_ns = int(happened.timestamp()) * NS_PER_S
    except (ValueError, OverflowError, OSError):
        return None
    if happened_ns <= 0:
        return None
    action = log.actions[match["action"]]
    new, old = (_version(match[name]) if name in match.re.groupindex else None for name in ("new", "old"))
    if action == "removed":
        new, old = None, old or new
    return Work(happened_ns, match["package"], action, new, old)


def _version(text: str | None) -> str | None:
    return None if text in {None, _NONE} else text


def programs_in(files: Iterable[str]) -> list[str]:
    """The programs among the files of a package, by where they are."""
    return _some(files, lambda path: path if _PROGRAM.fullmatch(path) else None)


def units_in(files: Iterable[str]) -> list[str]:
    """The units of systemd among the files of a package."""
    return _some(files, lambda path: match[1] if (match := _UNIT.fullmatch(path)) else None)


def _some(files: Iterable[str], chosen: Callable[[str], str | None]) -> list[str]:
    found: list[str] = []
    length = 0
    for path in files:
        if (word := chosen(path)) is not None and len(found) < _MOST_FILES and length + len(word) < _LONGEST_LIST:
            found.append(word)
            length += len(word) + 1
    return found
