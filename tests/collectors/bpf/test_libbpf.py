"""The loader, on the running kernel."""

import os
import select
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from kernelsight.collectors.bpf.abi import kernel_knows
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.errors import SourceUnavailableError

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def image(compile_bpf):
    return compile_bpf("loader_probe")


@pytest.fixture
def probe(image):
    with Object(image, "loader_probe", settings={"wanted_pid": os.getpid(), "table": bytes(range(16))}) as loaded:
        yield loaded


def counted(loaded, calls):
    """Attach, make that many system calls, detach."""
    loaded.attach("on_exit")
    for _ in range(calls):
        os.getppid()
    loaded.detach("on_exit")


def test_settings_reach_the_program_before_it_runs(probe):
    counted(probe, 10)
    assert probe.variable("calls").value >= 10
    assert probe.variable("doubled").values == (0, 0, 6, 0)


def test_an_array_is_set_and_read_whole_as_what_it_is(probe):
    probe.variable("doubled").values = (1, 2, 2**32 - 1, 4)
    assert probe.variable("doubled").values == (1, 2, 2**32 - 1, 4)
    probe.variable("signed_pair").values = (-1, 5)
    assert probe.variable("signed_pair").values == (-1, 5)
    with pytest.raises(TypeError, match="no array of integers"):
        _ = probe.variable("structure").values


def test_a_program_that_is_not_attached_does_not_run(probe):
    os.getppid()
    assert probe.variable("calls").value == 0
    assert probe.attached == ()


def test_a_hash_is_drained_whole_in_several_batches(probe):
    counted(probe, 3000)
    keys, values = probe.map("counts").drain()
    seen = dict(zip((k for (k,) in struct.iter_unpack("<I", keys)), struct.iter_unpack("<Q", values), strict=True))
    assert sum(v for (v,) in seen.values()) == probe.variable("calls").value >= 3000
    assert probe.map("counts").drain() == (b"", b"")


def test_a_percpu_hash_has_a_value_for_every_cpu(probe):
    counted(probe, 50)
    counts = probe.map("counts_percpu")
    value = counts.lookup(struct.pack("<I", os.getpid()))
    assert value is not None
    parts = [int.from_bytes(value[i : i + 4], "little") for i in range(0, len(value), counts.stride)]
    assert len(parts) == counts.copies
    assert sum(parts) == probe.variable("calls").value


def test_single_elements_are_set_found_and_deleted(probe):
    counts = probe.map("counts")
    key, value = struct.pack("<I", 4_000_000), struct.pack("<Q", 7)
    assert counts.lookup(key) is None
    counts.update(key, value)
    assert counts.lookup(key) == value
    assert dict(counts.items()) == {key: value}
    assert counts.delete(key)
    assert not counts.delete(key)


def test_ring_buffer_gives_every_record_in_order(probe):
    ring = probe.ring("records")
    poller = select.poll()
    poller.register(ring.epoll_fd, select.POLLIN)
    counted(probe, 100)
    assert poller.poll(1000)
    numbers = [struct.unpack("<Q", record)[0] for record in ring.consume()]
    assert numbers == list(range(probe.variable("calls").value))
    assert ring.consume() == []


def test_an_iterator_sees_this_process_each_time(probe):
    for _ in range(2):
        pids = {pid for (pid,) in struct.iter_unpack("<I", probe.iterate("each_task"))}
        assert os.getpid() in pids


def test_only_the_chosen_programs_are_loaded(compile_bpf):
    broken = compile_bpf("loader_probe", "-DBROKEN")
    with Object(broken, "loader_probe", programs=["on_exit"]) as loaded:
        assert set(loaded.program_names) == {"broken", "on_exit", "each_task"}
        counted(loaded, 1)


def test_a_missing_tracepoint_is_one_clear_line(compile_bpf):
    with pytest.raises(SourceUnavailableError, match="no_such_tracepoint") as caught:
        Object(compile_bpf("loader_probe", "-DBROKEN"), "loader_probe")
    assert "\n" not in str(caught.value)


def test_what_is_not_an_object_is_refused_in_one_line():
    with pytest.raises(SourceUnavailableError, match="cannot open the BPF object junk"):
        Object(b"junk", "junk")


def test_an_unknown_setting_map_or_program_is_a_mistake_of_ours(image, probe):
    with pytest.raises(KeyError, match="no setting 'speed'"):
        Object(image, "loader_probe", settings={"speed": 1})
    with pytest.raises(KeyError, match="no program nothing"):
        Object(image, "loader_probe", programs=["nothing"])
    with pytest.raises(KeyError, match="no map 'nowhere'"):
        probe.map("nowhere")


def test_kernel_types_are_looked_up_by_their_whole_name():
    assert kernel_knows("btf_trace_sched_switch")
    assert not kernel_knows("btf_trace_sched_swit")


def test_without_permission_the_message_says_what_to_do(image, tmp_path):
    made = tmp_path / "image.o"
    made.write_bytes(image)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        if parent.name.startswith("pytest"):
            parent.chmod(0o755)
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from kernelsight.collectors.bpf.libbpf import Object
        from kernelsight.errors import SourceUnavailableError
        image = Path({str(made)!r}).read_bytes()
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            Object(image, "loader_probe")
        except SourceUnavailableError as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "CAP_BPF and CAP_PERFMON" in done.stdout
    assert done.stderr == ""


def test_programs_detach_when_the_process_is_killed(image, tmp_path):
    made = tmp_path / "image.o"
    made.write_bytes(image)
    program = textwrap.dedent(f"""
        import signal
        from pathlib import Path
        from kernelsight.collectors.bpf.libbpf import Object
        loaded = Object(Path({str(made)!r}).read_bytes(), "loader_probe")
        loaded.attach("on_exit")
        print(loaded.program_fd("on_exit"), flush=True)
        signal.pause()
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        fd = int(child.stdout.readline())
        info = dict(
            line.split(":\t")
            for line in Path(f"/proc/{child.pid}/fdinfo/{fd}").read_text().splitlines()
            if ":\t" in line
        )
        number = int(info["prog_id"])
        assert _program_exists(number)
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _program_exists(number) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _program_exists(number)


def _program_exists(number):
    """Ask the kernel (BPF_PROG_GET_FD_BY_ID) whether a program is still there."""
    from ctypes import CDLL

    fd = CDLL("libbpf.so.1").bpf_prog_get_fd_by_id(number)
    if fd >= 0:
        os.close(fd)
    return fd >= 0
