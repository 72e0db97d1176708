"""Stacks of running threads: of programs whose shares are known, and of processes that are gone."""

import shutil
import subprocess
from collections import Counter

import pytest
from observed import cannot_run, observe

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.stack_frames import Resolved
from kernelsight.collectors.bpf.stacks import StackBook, Stacks
from kernelsight.collectors.mappings import Mappings, parse_maps
from kernelsight.errors import UsageError
from kernelsight.events.stack import Stack, StackSample
from kernelsight.linux.stacks import NO_FILE, File, Frames, decoded, encoded, stack_id

S = 1_000_000_000


@pytest.fixture(scope="module")
def program(compile_c):
    if reason := cannot_run(Stacks):
        pytest.skip(reason)
    return compile_c("compute")


def functions(program):
    """The functions of a program: where in its file each is, by nm(1), which comes with gcc."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm to know where the functions of a program are")
    listed = subprocess.run([nm, "-S", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    words = (line.split() for line in listed.splitlines())
    return {each[3]: range(int(each[0], 16), int(each[0], 16) + int(each[1], 16)) for each in words if len(each) == 4}


@pytest.mark.root
@pytest.mark.slow
def test_the_shares_of_functions_are_those_of_their_cpu_time(program):
    observed = observe([Stacks], program, "8", "0.7", stack_hz=49)
    told = {line.what: line.ns for line in observed.said}
    stacks = {stack.stack_id: decoded(stack.frames) for stack in observed.of(Stack, space="user")}
    places = functions(program)
    seen = Counter()
    for sample in observed.of(StackSample, pid=observed.pid):
        if sample.kernel_stack_id is None:
            file, offset = stacks[sample.user_stack_id].places[0]
            path = stacks[sample.user_stack_id].files[file].path
            seen[next((name for name in places if path == str(program) and offset in places[name]), path)] += (
                sample.samples
            )
    share = seen["heavy_work"] / seen.total()
    truth = told["heavy"] / (told["heavy"] + told["light"])
    assert seen.total() > 8 * 49 * 0.8, seen
    assert abs(share - truth) < 4 * (truth * (1 - truth) / seen.total()) ** 0.5, (seen, truth)
    of_program = observed.of(StackSample, pid=observed.pid)
    assert abs(sum(sample.cpu_ns for sample in of_program) / sum(told.values()) - 1) < 0.1
    assert observed.lost == 0


@pytest.mark.root
@pytest.mark.slow
def test_stacks_of_a_process_that_is_gone_name_its_file_and_the_build_id(program):
    observed = observe([Stacks], "sh", "-c", f"for turn in 1 2 3 4 5 6; do {program} 0.3 & wait; done")
    of_program = [
        stack
        for sample in observed.of(StackSample, comm="compute")
        for stack in observed.of(Stack, stack_id=sample.user_stack_id)
    ]
    files = {file for stack in of_program for file in decoded(stack.frames).files}
    assert {file.path for file in files} >= {str(program)}
    assert all(len(file.build_id) == 40 for file in files if file.path == str(program)), files


@pytest.mark.root
def test_the_kernel_names_its_own_functions(program):
    observed = observe([Stacks], "dd", "if=/dev/zero", "of=/dev/null", "bs=64k", "count=200000")
    stacks = {stack.stack_id: decoded(stack.frames) for stack in observed.of(Stack, space="kernel")}
    of_program = observed.of(StackSample, pid=observed.pid)
    named = [
        frame for sample in of_program if sample.kernel_stack_id for frame in stacks[sample.kernel_stack_id].kernel
    ]
    assert any(frame.startswith(("ksys_read+", "vfs_read+")) for frame in named), named[:20]
    assert not any(frame.startswith("0x") for frame in named), named


def test_mappings_that_may_be_executed_are_read_with_their_file():
    text = (
        b"55d0c0a00000-55d0c0a01000 r--p 00000000 fd:00 1234                       /usr/bin/prog\n"
        b"55d0c0a01000-55d0c0a05000 r-xp 00001000 fd:00 1234                       /usr/bin/prog with \\012 (deleted)\n"
        b"7f0000000000-7f0000010000 rwxp 00000000 00:00 0 \n"
        b"nonsense\n"
        b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    )
    program, made, vsyscall = parse_maps(text)
    assert (program.start, program.end, program.offset) == (0x55D0C0A01000, 0x55D0C0A05000, 0x1000)
    assert (program.inode, program.path) == ("fd:00 1234", "/usr/bin/prog with \\012 (deleted)")
    assert (made.inode, made.path) == ("", "")
    assert vsyscall.path == "[vsyscall]"


def test_what_was_known_of_a_process_stays_when_it_is_gone(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/maps").write_bytes(b"1000-2000 r-xp 00000000 fd:00 5 /bin/prog\n")
    mappings = Mappings(tmp_path)
    assert mappings.read(7).at(0x1FFF).path == "/bin/prog"
    assert mappings.read(7).at(0x2000) is None
    (tmp_path / "7/maps").unlink()
    assert mappings.read(7).at(0x1000).path == "/bin/prog"
    assert mappings.read(8) is None


def test_a_list_of_very_many_mappings_is_not_read_again_at_once(tmp_path):
    (tmp_path / "7").mkdir()
    many = b"".join(b"%x-%x r-xp 00000000 fd:00 5 /bin/prog\n" % (n << 12, (n + 1) << 12) for n in range(1, 9000))
    (tmp_path / "7/maps").write_bytes(many)
    mappings = Mappings(tmp_path)
    first = mappings.read(7)
    assert mappings.read(7) is first
    (tmp_path / "8").mkdir()
    (tmp_path / "8/maps").write_bytes(b"1000-2000 r-xp 00000000 fd:00 5 /bin/prog\n")
    assert mappings.read(8) is not mappings.read(8)


def test_a_stack_is_written_once_while_it_is_in_use_and_again_after_minutes():
    clock = [0]
    book = StackBook(lambda: clock[0])
    stack = Resolved(Frames((File("/bin/prog"),), ((0, 5),)), "whole")
    number, row = book.enter(S, "user", 7, stack)
    assert row is not None
    assert row.stack_id == number
    assert book.enter(S, "user", 8, stack) == (number, None)
    clock[0] = 301 * S
    assert book.enter(S, "user", 8, stack)[1] is not None


def test_code_of_no_file_is_of_one_process_alone():
    book = StackBook(lambda: 0)
    made = Resolved(Frames((), ((NO_FILE, 5),)), "whole")
    assert book.enter(S, "user", 7, made)[0] != book.enter(S, "user", 8, made)[0]


def test_of_too_many_new_stacks_only_the_innermost_frames_are_kept():
    book = StackBook(lambda: 0)
    deep = [
        Resolved(Frames((File("/bin/a"), File("/bin/b")), ((1, 1), *((0, outer) for _ in range(9)))), "whole")
        for outer in range(1000)
    ]
    rows = [row for stack in deep if (row := book.enter(S, "user", 7, stack)[1]) is not None]
    assert {row.ends for row in rows} == {"whole", "thinned"}
    cut = decoded(rows[-1].frames)
    assert (cut.files, len(cut.places)) == ((File("/bin/b"), File("/bin/a")), 4)
    assert cut.places[0] == (0, 1)
    assert {file for file, _ in cut.places[1:]} == {1}
    assert book.thinned > 0


@pytest.mark.parametrize(
    "text", ["", "[]]", '{"a":1}', '[[["/bin/a","",""]],[[7,1]],[]]', '[[],[["x",1]],[]]', "\ud800"]
)
def test_what_is_no_stack_is_none(text):
    assert decoded(text) is None


def test_frames_are_read_as_they_were_written():
    frames = Frames((File("/bin/a b\n", "ab", "fd:00 1"),), ((0, 2**63), (NO_FILE, 1)), ("read+0x1",))
    assert decoded(encoded(frames)) == frames
    assert -(2**63) <= stack_id(encoded(frames)) < 2**63


def test_the_rate_has_bounds():
    with pytest.raises(UsageError, match="stack_hz=1000"):
        Stacks(Host(options={"stack_hz": 1000}))
