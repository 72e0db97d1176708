"""Puts this Python, our package and what both need into the root directory of a virtual machine."""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import kernelsight

HOME = Path("python")
"""PYTHONHOME of the machine, below its root."""
SITE = HOME / "site"
"""PYTHONPATH of the machine, below its root."""

_NEVER_IMPORTED = shutil.ignore_patterns(
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "distutils", "unittest", "pydoc_data",
    "site-packages", "dist-packages", "config-*", "*.opt-?.pyc", "_test*.so", "_tkinter*.so", "xxlimited*.so", "*.a",
)  # fmt: skip


_NOT_NEEDED = {"duckdb", "numpy", "pyarrow"}
"""Distributions that collecting and storing do without: the machine's root is in its memory."""


def add_python(root: Path) -> None:
    """Copy the interpreter, its library, our package and its dependencies; everything is compiled."""
    version = sysconfig.get_python_version()
    library = root / HOME / f"lib/python{version}"
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_NEVER_IMPORTED, dirs_exist_ok=True)
    interpreter = root / "bin/python3"
    shutil.copy(Path(sys.executable).resolve(), interpreter)
    site = root / SITE
    for name in _needed("kernelsight"):
        _copy_distribution(name, site)
    source = Path(kernelsight.__file__).parent
    shutil.copytree(source, site / "kernelsight", dirs_exist_ok=True)
    compileall.compile_dir(root / HOME, quiet=2)  # passes over what is compiled already
    add_libraries(root, [interpreter, *(root / HOME).rglob("*.so")], "libbpf.so.1")


def add_program(root: Path, program: Path) -> None:
    """Copy a program and its shared libraries."""
    shutil.copy(program, root / "bin")
    add_libraries(root, [program])


def add_libraries(root: Path, programs: Iterable[Path], *opened: str) -> None:
    """Copy the shared libraries of programs, and those that one opens by name, to where they lie here."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = [re.search(rf"{re.escape(name)} .*=> (\S+)", known) for name in opened]
    libraries = [Path(match[1]) for match in found if match]
    done = subprocess.run(["ldd", *programs, *libraries], capture_output=True, text=True, check=False)
    libraries += [Path(path) for path in re.findall(r"(/\S*\.so\S*) \(0x", done.stdout)]
    for path in dict.fromkeys(libraries):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)  # the file itself, under the name by which it is looked for


def _needed(name: str) -> set[str]:
    """A distribution and those that it requires, but for its extras."""
    needed, look_at = set(), [name]
    while look_at:
        name = look_at.pop()
        if name not in needed | _NOT_NEEDED:
            needed.add(name)
            requires = distribution(name).requires or []
            look_at += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires if ";" not in line]
    return needed


def _copy_distribution(name: str, site: Path) -> None:
    installed = distribution(name)
    for file in installed.files or ():
        if ".." in file.parts or file.suffix in {".pth", ".pyi"}:
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(installed.locate_file(file)), target)
