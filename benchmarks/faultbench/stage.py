"""Where a scenario plays: its processes, control groups and files, all of which are gone at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.faultbench.harm import PRELUDE
from benchmarks.faultbench.truth import Culprit

PROGRAMS = Path(__file__).with_name("programs")
CGROUPS = Path("/sys/fs/cgroup")
PYTHON = str(Path(sys.base_exec_prefix) / "bin/python3")
"""The interpreter itself: a virtual environment's is a link, and a shim is a shell script."""
_SYLLABLES = ("ka", "lo", "mir", "ten", "su", "vo", "rag", "bel", "nix", "por", "dal", "fen")


class Actor:
    """A process of the scenario, and all that it starts."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.process, self.name = process, name

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.process.pid

    @property
    def culprit(self) -> Culprit:
        """It, by its pid or by its (random) name."""
        return self.at()

    def at(self, *places: object) -> Culprit:
        """It, or the place where it does it: a path, a group, an interface, an address."""
        named = tuple(map(str, places))
        return Culprit((str(self.pid), *named), (self.name, *named))

    def family(self) -> dict[int, str]:
        """Pid and name of it and of all that it started and that still runs: they are a session of their own."""
        family = {self.pid: self.name}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                head, _, rest = stat.read_text(errors="replace").rpartition(")")
                if int(rest.split()[3]) == self.pid:
                    family.setdefault(int(stat.parent.name), head.partition("(")[2])
        return family

    def end(self) -> None:
        """End it and all that it started, those too that have left its session."""
        for pid in (*descendants(self.pid), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    children = [pid]
    for parent in children:  # grows meanwhile
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children += map(int, (task / "children").read_text().split())
    return children[1:]


class Stage:
    """Hands out what scenarios need, seeded, and takes it back."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.exit = ExitStack()
        self.folder = Path(self.exit.enter_context(tempfile.TemporaryDirectory(prefix="faultbench-")))
        # In memory, so that a disk that is slow or full does not keep a program from saying how slow it is.
        self.measured = Path(self.exit.enter_context(tempfile.TemporaryDirectory(prefix="faultbench-", dir="/dev/shm")))
        self.measured.chmod(0o1777)
        self.actors: list[Actor] = []
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.exit.close()

    def name(self) -> str:
        """A name for a program that nothing can be tuned to, given once; at most 15 characters."""
        while True:
            name = "".join(self.chance.choice(_SYLLABLES) for _ in range(self.chance.randint(2, 4)))[:15]
            if name not in self._names:
                self._names.add(name)
                return name

    @property
    def names(self) -> frozenset[str]:
        """The names that were given to programs."""
        return frozenset(self._names)

    def start(
        self,
        command: Sequence[object],
        *,
        name: str | None = None,
        groups: Sequence[Path] = (),
        cpus: str | None = None,
        through: Sequence[object] = (),
    ) -> Actor:
        """Start a program under a name of its own.

        Args:
            command: the program, and its arguments. A program that is a file of ours is started from a copy
                under the new name, so that this is what the kernel calls it.
            name: what to call it; a random name by default.
            groups: control groups to put it into before it runs.
            cpus: CPUs that it may use, as taskset(1) takes them.
            through: a command that becomes what it is given, such as nsenter(1), with its arguments.
        """
        name = name or self.name()
        program, *arguments = map(str, command)
        executable = shutil.which(program) or program
        copy = self.folder / name
        if not copy.exists():
            # The kernel calls a process by its file; a link is enough, and a script is called by its own name.
            copy.symlink_to(executable)
        words = [str(copy), *arguments]
        if cpus is not None:
            words = ["taskset", "-c", cpus, *words]
        words = [*map(str, through), *words]
        processes = [group / "cgroup.procs" for group in groups]

        def enter() -> None:
            for file in processes:
                file.write_text("0")

        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=enter if groups else None,  # noqa: PLW1509 - one thread here
        )
        actor = Actor(process, name)
        self.actors.append(actor)
        self.exit.callback(actor.end)
        return actor

    def python(self, code: str, *arguments: object, **options: object) -> Actor:
        """Start a Python program given as text, which may call ``measured(began)`` (`harm.py`)."""
        name = str(options.pop("name", None) or self.name())
        script = self.folder / f"{name}.py"
        prelude = PRELUDE.format(file=str(self.measured / name))
        script.write_text(f"import ctypes\nctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0)\n{prelude}{code}")
        return self.start([PYTHON, script, *arguments], name=name, **options)  # type: ignore[arg-type]

    def c(self, program: str, *arguments: object, **options: object) -> Actor:
        """Compile and start a C program of :data:`PROGRAMS`."""
        name = str(options.pop("name", None) or self.name())
        binary = self.folder / f"{name}.bin"
        subprocess.run(["gcc", "-O1", "-pthread", "-o", binary, PROGRAMS / f"{program}.c", "-lm"], check=True)
        return self.start([binary, *arguments], name=name, **options)  # type: ignore[arg-type]

    def cgroup(self, controller: str, limits: dict[str, str], *, below: Path | None = None) -> Path:
        """A control group of our own with limits; removed at the end, after what is in it."""
        old = CGROUPS / controller
        group = (below or (old if old.is_dir() else CGROUPS)) / f"faultbench-{os.getpid()}-{self.name()}"
        group.mkdir()
        self.exit.callback(self._remove, group)
        for file, value in limits.items():
            (group / file).write_text(value)
        return group

    def run(self, *command: object, undo: Sequence[object] | None = None) -> str:
        """Run a command to its end and give what it said; `undo` is run at the end of the scenario."""
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
        if undo is not None:
            self.exit.callback(self._undo, [str(word) for word in undo])
        return done.stdout.strip()

    def which(self, program: object) -> str:
        """Path of a program; of Python that of the interpreter itself."""
        return PYTHON if program == "python3" else shutil.which(str(program)) or str(program)

    def end_children(self, actor: Actor) -> None:
        """Ask the children of an actor to end (SIGTERM)."""
        for pid in descendants(actor.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Let time pass before what comes next."""
        time.sleep(seconds)

    def unmount(self, folder: Path) -> None:
        """Take a file system off, even one that somebody still uses; nothing where none is mounted."""
        self._undo(["umount", "-l", str(folder)])

    def later(self, what: Callable[[], object]) -> None:
        """Do something at the end."""
        self.exit.callback(what)

    def _undo(self, command: list[str]) -> None:
        subprocess.run(command, capture_output=True, check=False)

    def _remove(self, group: Path) -> None:
        for _ in range(100):
            try:
                group.rmdir()
            except OSError:
                for pid in (group / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                subprocess.run(["sleep", "0.05"], check=True)
            else:
                return
