"""Both sources of processes say which file a process runs: at first, when its name changes, and every ten seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from moments import NOW, Moments, S

from hostile import HOSTILE, harmless, storable
from kernelsight.collectors import executables
from kernelsight.collectors.base import Host, registered
from kernelsight.collectors.executables import Executables
from kernelsight.errors import SourceUnavailableError
from kernelsight.printable import printable

SLEEP = shutil.which("sleep")


@pytest.fixture(params=["procfs", pytest.param("bpf", marks=pytest.mark.root)])
def source(request, monkeypatch):
    """A source of processes, and its clock; it reads all links, however many processes others have."""
    monkeypatch.setattr(executables, "_LINKS_A_RUN", 10**6)
    moments = Moments()
    entry = next(entry for entry in registered()["process"] if entry.source == request.param)
    try:
        collector = entry.factory(Host(monotonic_ns=moments))
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    yield lambda now, pid: next((e for e in collector.collect(moments.at(now)) if e.pid == pid), None)
    collector.close()


@pytest.fixture
def own(tmp_path):
    """A program of our own that waits until its standard input ends."""
    file = tmp_path / "own-program"
    shutil.copy("/bin/cat", file)
    with subprocess.Popen([file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"runs\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"runs\n"
        yield process.pid, file


def test_a_process_says_its_executable_at_first_and_again_after_ten_seconds(source, own):
    pid, file = own
    assert source(NOW, pid).exe == str(file)
    for second in range(1, 10):
        event = source(NOW + second * S, pid)
        assert event is None or event.exe is None
    file.unlink()
    assert source(NOW + 70 * S, pid).exe == f"{file} (deleted)"


def test_a_process_that_becomes_another_program_says_so_at_once(source):
    command = ["/bin/sh", "-c", f"read go; exec {SLEEP} 60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        first = source(NOW, process.pid).exe
        process.stdin.write(b"go\n")
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while str(Path(f"/proc/{process.pid}/exe").readlink()) == first:
            assert time.monotonic() < deadline
        event = source(NOW + S, process.pid)
        process.kill()
    assert first == os.path.realpath("/bin/sh")
    assert event.exe == os.path.realpath(SLEEP)
    assert event.comm == "sleep"


def test_threads_of_the_kernel_run_no_file(source):
    event = source(NOW, 2)
    if event is None or event.comm != "kthreadd":
        pytest.skip("threads of the kernel are not seen here")
    assert event.exe is None


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_file_may_be_called_anything(tmp_path, text):
    name = storable(text).replace("/", "|").encode()[:200] or b"x"
    file = os.fsencode(tmp_path) + b"/" + name
    shutil.copy("/bin/cat", file)
    with subprocess.Popen([file], stdin=subprocess.PIPE) as process:
        said = Executables("/proc").of("key", process.pid, "cat", 0)
        process.stdin.close()
    assert said == file.decode(errors="backslashreplace")
    assert harmless(printable(said))


def test_a_byte_that_is_no_text_is_said_as_such(tmp_path):
    file = os.fsencode(tmp_path) + b"/a\xffb"
    shutil.copy("/bin/cat", file)
    with subprocess.Popen([file], stdin=subprocess.PIPE) as process:
        said = Executables("/proc").of("key", process.pid, "cat", 0)
        process.stdin.close()
    assert said == f"{tmp_path}/a\\xffb"


def test_a_flood_of_processes_is_read_over_several_runs_and_forgotten(monkeypatch):
    monkeypatch.setattr(executables, "_LINKS_A_RUN", 3)
    monkeypatch.setattr(executables, "_SPARE", 0)
    pid, known = os.getpid(), Executables("/proc")
    said = []
    for _ in range(3):
        known.look(range(7))
        said.append([key for key in range(7) if known.of(key, pid, "python", 1)])
    assert said == [[0, 1, 2], [3, 4, 5], [6]]
    known.look([0])
    assert [*known._known] == [0]
    assert Path(known.of(1, pid, "python", 1)).samefile(sys.executable)
