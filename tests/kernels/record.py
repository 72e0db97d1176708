"""Record what the collectors read from another kernel, in a throw-away virtual machine.

    python tests/kernels/record.py linux-image-6.1.0-56-cloud-amd64 tests/fixtures/proc/linux-6.1

The first argument names a Debian package of a kernel (fetched with apt-get), or is a ``.deb`` file
or a directory with ``boot/vmlinuz-*`` and ``lib/modules/*``. The kernel boots under qemu with
busybox as its only program (packages qemu-system-x86, busybox-static, cpio), makes a known load
(``record_guest.sh``), and leaves its files in the second argument as ``proc/…`` and ``sys/…``, text
as it was read. Nothing of the recording machine is in it, and no root is needed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from virtual_machine import DEVICES, Machine, MachineError, empty_disk, pack, start_root, unpack

GUEST = Path(__file__).with_name("record_guest.sh")
BOOT_TIMEOUT_S = 300


def unpacked(kernel: str, scratch: Path) -> Path:
    """The directory with ``boot`` and ``lib`` of a package name, a ``.deb`` file or a directory."""
    if Path(kernel).is_dir():
        return Path(kernel)
    if not kernel.endswith(".deb"):
        subprocess.run(["apt-get", "download", "-q", kernel], cwd=scratch, check=True)
        kernel = str(next(scratch.glob("*.deb")))
    return unpack(Path(kernel), scratch / "package")


def boot(package: Path, scratch: Path) -> Path:
    """Run the guest to its end; returns the disk that holds its archive.

    Raises:
        MachineError: it did not say that it had recorded everything; the message is its console.
    """
    root = scratch / "root"
    start_root(root, GUEST, package, DEVICES)
    disks = [empty_disk(scratch / f"{name}.img") for name in ("data", "swap", "archive")]
    console = Machine(package, pack(root, scratch / "initramfs"), disks).run(BOOT_TIMEOUT_S)
    if not any(line.strip().endswith("recorded") for line in console.splitlines()):
        raise MachineError(console)
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
