"""A throw-away virtual machine: a Debian kernel and an initramfs under qemu, without KVM and without root.

Its two CPUs take turns (`thread=single`): when they are emulated beside each other (qemu 7.2), one of
them now and then falls into the breakpoint by which Linux patches its own code when a tracepoint is
attached, long after it is gone, and the kernel panics.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEVICES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic")
"""Modules that disks, network and file system of the machine need, besides their dependencies."""
PARAMETERS = "console=ttyS0 quiet panic=-1 psi=1 clocksource=tsc tsc=reliable no_timer_check"
"""The clock is this machine's, which is reliable; whether timers work is found out too hastily where it is busy."""
MIB = 1 << 20


class MachineError(Exception):
    """A kernel could not be fetched or booted, or did not come to the end of its work."""


def unpack(deb: Path, target: Path) -> Path:
    """Unpack the package of a kernel; returns the directory with ``boot`` and ``lib``."""
    subprocess.run(["dpkg-deb", "-x", deb, target], check=True)
    return target


def modules(package: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """The wanted modules that are files (the others are built in) and their dependencies, in the order to load them."""
    found = {path.name.split(".ko")[0].replace("-", "_"): path for path in package.glob("lib/modules/*/**/*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in ordered or name not in found:
            return
        data = found[name].read_bytes()
        module = lzma.decompress(data) if found[name].suffix == ".xz" else data
        declared = re.search(rb"\0depends=([^\0]*)\0", module)
        for dependency in (declared[1].decode() if declared else "").split(","):
            add(dependency.replace("-", "_"))
        ordered[name] = module

    for name in wanted:
        add(name)
    return ordered


def start_root(root: Path, init: Path, package: Path, wanted: Iterable[str]) -> None:
    """Begin the machine's root directory: busybox, the modules, and a shell script that is its first process.

    Raises:
        MachineError: busybox is not installed.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise MachineError("busybox is missing: install busybox-static")
    for folder in ("bin", "modules", "proc", "sys", "dev", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    shutil.copy(init, root / "init")
    (root / "init").chmod(0o755)
    for order, (name, module) in enumerate(modules(package, wanted).items()):
        (root / "modules" / f"{order:02}-{name}.ko").write_bytes(module)


def pack(root: Path, image: Path) -> Path:
    """Pack a root directory into an initramfs."""
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with image.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), stdout=out, check=True)
    return image


def empty_disk(path: Path, size_mib: int = 64) -> Path:
    """A disk full of zeros."""
    with path.open("wb") as image:
        image.truncate(size_mib * MIB)
    return path


@dataclass(frozen=True, slots=True)
class Machine:
    """What boots."""

    package: Path
    initramfs: Path
    disks: Sequence[Path]
    memory_mib: int = 256

    def run(self, timeout_s: float, second_console: Path | None = None) -> str:
        """Boot it, wait for it to power off, and return what it wrote to its console.

        Args:
            timeout_s: after so long it is ended.
            second_console: where what it writes to its second serial line goes.

        Raises:
            MachineError: it did not power off in time; the message ends with its console.
        """
        command: list[str | Path] = [
            "qemu-system-x86_64", "-accel", "tcg,thread=single", "-smp", "2", "-m", str(self.memory_mib),
            "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
            "-kernel", next(self.package.glob("boot/vmlinuz-*")), "-initrd", self.initramfs, "-append", PARAMETERS,
            "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=",
        ]  # fmt: skip
        if second_console:
            command += ["-serial", f"file:{second_console}"]
        for disk in self.disks:
            command += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                timeout=timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            console = (error.stdout or b"").decode(errors="backslashreplace")
            raise MachineError(f"the machine was not done after {timeout_s} s:\n{console}") from None
        return done.stdout.decode(errors="backslashreplace")
