"""The newest kernel of a series that Debian's archive has, unpacked into a cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from virtual_machine import MachineError, unpack

CACHE = Path(__file__).parents[2] / ".cache/kernels"


def kernel(series: str) -> Path:
    """The unpacked package of a series such as ``6.1``: the newest that apt knows, or the one that is in the cache.

    Raises:
        MachineError: there is none, and none can be fetched; the message says why and what to do.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = newest(_known(series, ())) or newest(_known(series, _own_lists()))
    cached = newest([path.name for path in CACHE.glob(f"{_prefix(series)}*")])
    if wanted is None and cached is None:
        raise MachineError(f"apt knows no kernel {series}; if this is Debian 12, type: apt-get update")
    if wanted is not None and wanted != cached:
        try:
            return _fetch(series, wanted)
        except MachineError:
            if cached is None:
                raise
    return CACHE / str(cached)


def newest(names: list[str]) -> str | None:
    """The package with the highest version: ``linux-image-6.1.0-56-…`` comes after ``linux-image-6.1.0-9-…``."""
    return max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default=None)


def _prefix(series: str) -> str:
    return f"linux-image-{series}."


def _known(series: str, options: tuple[str, ...]) -> list[str]:
    pattern = f"^{re.escape(_prefix(series))}.*-cloud-amd64$"
    done = _apt("apt-cache", *options, "search", "--names-only", pattern)
    return [line.split(" ", 1)[0] for line in done.stdout.splitlines()]


def _own_lists() -> tuple[str, ...]:
    """Package lists of our own, for a machine that has none: fetching them needs no root and changes nothing."""
    lists = CACHE.parent / "apt"
    (lists / "lists/partial").mkdir(parents=True, exist_ok=True)
    (lists / "cache").mkdir(exist_ok=True)
    options = ("-o", f"Dir::State::lists={lists}/lists", "-o", f"Dir::Cache={lists}/cache")
    _apt("apt-get", *options, "update")
    return options


def _fetch(series: str, package: str) -> Path:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as folder:
        scratch = Path(folder)
        done = _apt("apt-get", "download", package, cwd=scratch)
        if done.returncode:
            done = _apt("apt-get", *_own_lists(), "download", package, cwd=scratch)
        deb = next(scratch.glob("*.deb"), None)
        if deb is None:
            raise MachineError(f"apt-get cannot download {package}: {done.stderr.strip()}")
        made = unpack(deb, scratch / "package")
        for old in CACHE.glob(f"{_prefix(series)}*"):
            shutil.rmtree(old)
        return made.rename(CACHE / package)


def _apt(program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [program, "-q", "-o", "APT::Sandbox::User=root", *arguments]
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError:
        raise MachineError(f"{program} is missing: the kernels come from Debian's archive") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"{program} has not answered for two minutes: is Debian's archive within reach?") from None
