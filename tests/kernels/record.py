"""Record what the collectors read from another kernel, in a throw-away virtual machine.

    python tests/kernels/record.py linux-image-6.1.0-56-cloud-amd64 tests/fixtures/proc/linux-6.1

The first argument names a Debian package of a kernel (fetched with apt-get), or is a ``.deb`` file
or a directory with ``boot/vmlinuz-*`` and ``lib/modules/*``. The kernel boots under qemu with
busybox as its only program (packages qemu-system-x86, busybox-static, cpio), makes a known load
(``guest.sh``), and leaves its files in the second argument as ``proc/…`` and ``sys/…``, text as it
was read. Nothing of the recording machine is in it, and no root is needed.
"""

from __future__ import annotations

import argparse
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

GUEST = Path(__file__).with_name("guest.sh")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic")
"""What disk, network and file system of the virtual machine need, besides their dependencies."""
BOOT_TIMEOUT_S = 300
MIB = 1 << 20


class RecordingError(Exception):
    """The kernel could not be fetched, booted or recorded."""


def unpacked(kernel: str, scratch: Path) -> Path:
    """The directory with ``boot`` and ``lib`` of a package name, a ``.deb`` file or a directory."""
    if Path(kernel).is_dir():
        return Path(kernel)
    if not kernel.endswith(".deb"):
        subprocess.run(["apt-get", "download", "-q", kernel], cwd=scratch, check=True)
        kernel = str(next(scratch.glob("*.deb")))
    target = scratch / "package"
    subprocess.run(["dpkg-deb", "-x", kernel, str(target)], check=True)
    return target


def modules(package: Path) -> dict[str, bytes]:
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

    for name in MODULES:
        add(name)
    return ordered


def make_initramfs(package: Path, scratch: Path) -> Path:
    """Pack busybox, the modules and the guest's program into an initramfs."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RecordingError("busybox is missing: install busybox-static")
    root = scratch / "root"
    for folder in ("bin", "modules", "proc", "sys", "dev"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    shutil.copy(GUEST, root / "init")
    (root / "init").chmod(0o755)
    for order, (name, module) in enumerate(modules(package).items()):
        (root / "modules" / f"{order:02}-{name}.ko").write_bytes(module)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), capture_output=True, check=True
    )
    image = scratch / "initramfs"
    image.write_bytes(packed.stdout)
    return image


def boot(package: Path, scratch: Path) -> Path:
    """Run the guest to its end; returns the disk that holds its archive.

    Raises:
        RecordingError: it did not say that it had recorded everything; the message is its console.
    """
    disks = [scratch / f"{name}.img" for name in ("data", "swap", "archive")]
    for disk in disks:
        with disk.open("wb") as image:
            image.truncate(64 * MIB)
    command = [
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-m",
        "256",
        "-smp",
        "2",
        "-nographic",
        "-no-reboot",
        "-nodefaults",
    ]
    command += ["-serial", "stdio", "-kernel", str(next(package.glob("boot/vmlinuz-*")))]
    command += ["-initrd", str(make_initramfs(package, scratch)), "-append", "console=ttyS0 quiet panic=-1 psi=1"]
    for disk in disks:
        command += ["-drive", f"file={disk},if=virtio,format=raw"]
    command += ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=BOOT_TIMEOUT_S,
    )  # fmt: skip
    console = done.stdout.decode(errors="backslashreplace")
    if not any(line.strip().endswith("recorded") for line in console.splitlines()):
        raise RecordingError(console)
    return disks[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", help="Debian package, .deb file or unpacked directory")
    parser.add_argument("into", type=Path, help="where proc/ and sys/ go; what was recorded there before is replaced")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="record-kernel-") as folder:
        scratch = Path(folder)
        archive = boot(unpacked(chosen.kernel, scratch), scratch)
        for part in ("proc", "sys"):
            shutil.rmtree(chosen.into / part, ignore_errors=True)
        chosen.into.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "r:") as recorded:
            # Links under fd/ point to sockets, pipes and devices of the guest: kept as they are, never followed.
            recorded.extractall(chosen.into, filter="fully_trusted")
    print(f"{sum(path.is_file() for path in chosen.into.rglob('*'))} files in {chosen.into}", file=sys.stderr)


if __name__ == "__main__":
    main()
