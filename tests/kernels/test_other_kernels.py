"""Every tracer on other kernels: each check of ``guest/`` inside a virtual machine is a test of its own here."""

import compileall
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import debian
import pytest
from guest import planned, unchecked
from python_root import add_program, add_python
from virtual_machine import DEVICES, Machine, MachineError, empty_disk, pack, start_root

HERE = Path(__file__).parent
BPF_TESTS = HERE.parent / "collectors/bpf"
SERIES = ("6.1", "6.12")
MODULES = (*DEVICES, "tcp_diag", "nf_tables", "nft_ct", "nft_counter", "sch_netem")
NEEDED = ("qemu-system-x86_64", "busybox", "cpio", "gcc", "nft", "ip", "apt-get", "dpkg-deb")
TIMEOUT_S = 270


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """What the virtual machines have in common: this Python, our package, the checks and their programs."""
    if os.uname().machine != "x86_64":
        pytest.skip("the virtual machines run this Python, and are x86-64")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: packages.debian has the packages")
    common = tmp_path_factory.mktemp("machine") / "root"
    (common / "bin").mkdir(parents=True)
    add_python(common)
    checks = common / "checks"
    shutil.copytree(
        BPF_TESTS, checks, ignore=shutil.ignore_patterns("test_*", "conftest.py", "*.c", "*.h", "__pycache__")
    )
    shutil.copytree(HERE / "guest", checks / "guest")
    compileall.compile_dir(checks, quiet=2)
    for source in sorted((BPF_TESTS / "programs").glob("*.c")):
        subprocess.run(
            ["gcc", "-O1", "-static", "-pthread", "-o", checks / "programs" / source.stem, source], check=True
        )
    for program in ("nft", "ip"):
        add_program(common, Path(shutil.which(program)))
    return common


def boot(series, root, scratch):
    """Run the checks on a kernel: what they said by name, and the console; or why it could not be had."""
    try:
        kernel = debian.kernel(series)
    except MachineError as error:
        return {}, str(error), False
    shutil.copytree(root, scratch / "root", symlinks=True, copy_function=os.link)
    start_root(scratch / "root", HERE / "guest/init.sh", kernel, MODULES)
    initramfs = pack(scratch / "root", scratch / "initramfs")
    disks = [empty_disk(scratch / f"{name}.img") for name in ("data", "raw")]
    said = scratch / "said"
    try:
        console = Machine(kernel, initramfs, disks, memory_mib=640).run(TIMEOUT_S, said)
    except MachineError as error:
        console = str(error)
    lines = [
        json.loads(line) for line in said.read_text().splitlines() if line.endswith("}")
    ]  # the last may be cut off
    return {line["check"]: line for line in lines}, console, True


@pytest.fixture(scope="session")
def results(request, root, tmp_path_factory):
    """What :func:`boot` returns, by series: all kernels that this session asks for run beside each other."""
    asked = {item.callspec.params["series"] for item in request.session.items if item.get_closest_marker("kernels")}
    scratch = {series: tmp_path_factory.mktemp(f"linux-{series}") for series in asked}
    with ThreadPoolExecutor() as pool:
        booting = {series: pool.submit(boot, series, root, folder) for series, folder in scratch.items()}
    return {series: future.result() for series, future in booting.items()}


@pytest.mark.alone
@pytest.mark.solitary
@pytest.mark.kernels
@pytest.mark.slow
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("check", sorted(planned()))
def test_on_another_kernel(results, series, check):
    said, console, there = results[series]
    if not there:
        pytest.skip(console)
    assert check in said, f"the virtual machine did not come to it:\n{console}"
    failure = said[check]["failure"]
    if failure is not None:
        pytest.fail(f"on Linux {series}, after {said[check]['seconds']} s:\n{failure}", pytrace=False)


def test_every_tracer_has_a_check():
    missing = unchecked()
    assert not missing, f"add a check of {', '.join(sorted(missing))} to tests/kernels/guest/"


def test_the_newest_kernel_of_a_series_is_taken():
    names = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-47-cloud-amd64"]
    assert debian.newest(names) == "linux-image-6.1.0-56-cloud-amd64"
    assert debian.newest([]) is None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="the kernels come from Debian's archive")
def test_a_series_that_the_archive_does_not_have_is_said_to_be_missing():
    with pytest.raises(MachineError, match=r"apt knows no kernel 0\.99"):
        debian.kernel("0.99")
