"""What the tests of BPF tracers need: root, a kernel that pays attention, and C programs compiled where they lie."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from attention import Attention

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
TRIES = 4


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.alone)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="loads programs into the kernel: needs root"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test of a tracer again if the kernel ran no programs for a part of it; it must pass once, and not in part.

    On a kernel that runs them all the time, a test has one try.
    """
    if not (pyfuncitem.get_closest_marker("root") and pyfuncitem.path.is_relative_to(HERE)):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    ticks = pyfuncitem._request.getfixturevalue("ticks")
    for number in range(1, TRIES + 1):
        with closing(Attention(ticks)) as attention:
            try:
                pyfuncitem.obj(**arguments)
            except (AssertionError, LookupError, ValueError) as error:  # the last two: an event that is not there
                unseen = attention.unseen()
                if not unseen or number == TRIES:
                    raise
                said = f"try {number}: no program saw {unseen} timer interrupts\n{error}"
                pyfuncitem.add_report_section("call", "made again", said)
            else:
                break
    return True


@pytest.fixture(scope="session")
def ticks(request):
    """The object that counts timer interrupts; none where it cannot be compiled."""
    try:
        return request.getfixturevalue("compile_bpf")("ticks")
    except pytest.skip.Exception:
        return None


@pytest.fixture(scope="session")
def compile_bpf(tmp_path_factory):
    """Compile a BPF source beside the tests as the Makefile does; returns the object's bytes."""
    clang = shutil.which("clang-14") or shutil.which("clang")
    if clang is None:
        pytest.skip("needs clang to compile a BPF program of the test's own")
    machine = os.uname().machine
    target = {"x86_64": "x86", "aarch64": "arm64"}[machine]

    def compile_one(name, *flags):
        made = tmp_path_factory.mktemp("bpf") / f"{name}.o"
        subprocess.run(
            [
                clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", f"-D__TARGET_ARCH_{target}",
                f"-I{REPOSITORY / 'bpf'}", *flags,
                "-c", str(HERE / f"{name}.bpf.c"), "-o", str(made),
            ],
            check=True,
        )  # fmt: skip
        return made.read_bytes()

    return compile_one


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory):
    """Compile a C program beside the tests; returns its path."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to compile a program whose waits are known")

    def compile_one(name):
        made = tmp_path_factory.mktemp("c") / name
        subprocess.run(
            ["gcc", "-O1", "-Wall", "-pthread", "-o", str(made), str(HERE / "programs" / f"{name}.c")], check=True
        )
        return made

    return compile_one
