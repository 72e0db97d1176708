"""Names of functions: of real programs, of stripped ones, of damaged files, and of what others wrote."""

import mmap
import os
import random
import shutil
import struct
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest

from kernelsight.linux.stacks import NO_FILE, File, Frames
from kernelsight.profiles.binaries import Binary, opened
from kernelsight.profiles.demangle import demangled
from kernelsight.profiles.elf import Elf, UnreadableError
from kernelsight.profiles.perf_map import PerfMap, perf_map
from kernelsight.profiles.symbols import BROKEN, Symbols, with_break

SOURCE = """
__attribute__((noinline)) int deep(int x) { volatile int y = x; for (int i = 0; i < 1000; i++) y += i; return y; }
__attribute__((noinline)) static int hidden(int x) { volatile int y = x; return deep(y) + 1; }
int main(int n, char **v) { (void)v; return hidden(n) & 1; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        pytest.skip("needs gcc and nm to build a program whose functions are known")
    folder = tmp_path_factory.mktemp("elf")
    (folder / "prog.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-o", folder / "prog", folder / "prog.c"], check=True)
    subprocess.run(["strip", "-o", folder / "bare", folder / "prog"], check=True)
    return folder / "prog"


def places(program):
    listed = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout
    return {words[2]: int(words[0], 16) for line in listed.splitlines() if len(words := line.split()) == 3}


def build_id(program):
    with program.open("rb") as file:
        return Elf(file).build_id


def named(program, offset, **options):
    symbols = Symbols()
    stack = Frames((File(str(options.get("path", program)), options.get("id", build_id(program))),), ((0, offset),))
    try:
        return symbols.user(stack, None, "whole").names[0], symbols.unknown
    finally:
        symbols.close()


def test_functions_of_a_program_have_their_names(program):
    for name in ("deep", "hidden", "main"):
        found, unknown = named(program, places(program)[name] + 4)
        assert (found.function, found.where, found.is_known, unknown) == (name, "prog", True, ())


def test_a_place_outside_all_functions_is_not_named_after_the_nearest(program):
    found, _ = named(program, 0x40)
    assert not found.is_known


def test_a_function_of_a_stripped_program_is_told_by_where_it_begins(program):
    bare = program.with_name("bare")
    start = places(program)["deep"]
    for offset in (start, start + 4, start + 9):
        found, unknown = named(bare, offset)
        assert (found.function, found.is_known) == (f"bare+{start:#x}", False)
    assert unknown == ("bare: it has no symbols for some of its functions; they are named by where they begin",)


def test_another_file_of_the_same_name_is_not_taken(program, tmp_path):
    shutil.copy(program, tmp_path / "prog")
    found, unknown = named(program, places(program)["deep"], path=tmp_path / "prog", id="ab" * 20)
    assert not found.is_known
    assert unknown == ("prog: another file has its name now",)


def test_a_file_without_build_id_must_have_the_inode_that_was_recorded(program):
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        (line,) = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(program))]
    device, inode = line.split()[3:5]
    right = opened(File(str(program), "", f"{device} {inode}"), None)
    assert isinstance(right, Binary)
    right.close()
    for other in (f"{device} {int(inode) + 1}", f"fe:{device[:2]} {inode}", inode):
        assert opened(File(str(program), "", other), None) == "another file has its name now"


def test_a_pipe_or_a_link_under_the_name_of_a_file_is_not_opened(tmp_path, program):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(program)
    assert opened(File(str(tmp_path / "pipe"), "ab"), None) == "it is no regular file"
    assert isinstance(opened(File(str(tmp_path / "link"), build_id(program)), None), str)


def test_a_chain_that_does_not_begin_where_threads_do_is_broken(program):
    symbols = Symbols()
    file = File(str(program), build_id(program))
    at = places(program)
    whole = symbols.user(Frames((file,), ((0, at["deep"] + 4), (0, at["main"] + 9))), None, "whole")
    broken = symbols.user(Frames((file,), ((0, at["deep"] + 4), (0, at["hidden"] + 9))), None, "unmapped")
    symbols.close()
    assert [name.function for name in with_break(whole)] == ["main", "deep"]
    assert with_break(broken)[0] == BROKEN


def test_names_are_looked_for_for_so_long_and_what_is_late_is_told(program):
    clock = iter((0.0, 9.0))
    symbols = Symbols(5, clock=lambda: next(clock))
    chain = symbols.user(Frames((File(str(program), build_id(program)),), ((0, 0x1139),)), None, "whole")
    assert not chain.names[0].is_known
    assert symbols.unknown == ("names were looked for only for 5 s",)


def test_of_very_many_files_without_names_those_with_most_places_are_told():
    symbols = Symbols()
    for number in range(100):
        places = tuple((NO_FILE, at) for at in range(2 if number == 50 else 1))
        symbols.user(Frames((), places), 5_000_000 + number, "whole")
    assert len(symbols.unknown) == 21
    assert symbols.unknown[0].startswith("code of process 5000050 that is of no file: it has ended")
    assert symbols.unknown[-1] == "80 more, of fewer places"


def test_a_damaged_file_is_unreadable_and_nothing_else(program, tmp_path):
    data, chance = bytearray(program.read_bytes()), random.Random(7)
    read = 0
    for turn in range(300):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 4, 40))):
            where = chance.choice((range(64), range(len(data) - 2200, len(data)), range(len(data))))
            damaged[chance.choice(where)] = chance.randrange(256)
        file = tmp_path / f"damaged{turn}"
        file.write_bytes(damaged[: chance.choice((len(data), len(data) // 2, 70))])
        with file.open("rb") as opened_file:
            try:
                elf = Elf(opened_file)
            except UnreadableError:
                continue
            elf.function_at(elf.address_of(0x1139) or 0)
            read += 1
        file.unlink()
    assert read > 0


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("deflate_slow", "deflate_slow"),
        ("deflate_slow.constprop.0", "deflate_slow"),
        ("_ZN2v88internal7Scanner4NextEv", "v8::internal::Scanner::Next"),
        ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back"),
        ("_ZN12_GLOBAL__N_11fEi", "(anonymous namespace)::f"),
        ("_ZN1AclEi", "A::operator()"),
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
        ("_Znonsense", "_Znonsense"),
        ("", ""),
    ],
)
def test_names_are_shown_as_people_write_them(name, plain):
    assert demangled(name) == plain


def process(proc, owner=None):
    (proc / "7/root/tmp").mkdir(parents=True)
    (proc / "7/status").write_text("Name:\tnode\nNSpid:\t7\t3\n")
    return proc / "7/root/tmp/perf-3.map"


def test_code_that_was_compiled_at_run_time_is_named_by_the_process_s_own_file(tmp_path):
    process(tmp_path).write_text("1000 20 JS:first\n0x2000 10 JS:evil\x1b[2J name\nnonsense\n1000 30 JS:later\n")
    found = perf_map(7, tmp_path)
    assert isinstance(found, PerfMap)
    assert [found.name_at(at) for at in (0xFFF, 0x1000, 0x102F, 0x1030)] == [None, "JS:later", "JS:later", None]
    symbols = Symbols(proc=tmp_path)
    chain = symbols.user(Frames((), ((NO_FILE, 0x2000), (NO_FILE, 0x1001))), 7, "whole")
    assert [name.function for name in chain.names] == ["JS:later", "JS:evil\\x1b[2J name"]


@pytest.mark.parametrize("how", ["writable", "link", "pipe", "missing"])
def test_a_file_of_names_that_another_user_could_have_written_is_not_believed(tmp_path, how):
    file = process(tmp_path)
    if how == "writable":
        file.write_text("1000 20 JS:forged\n")
        file.chmod(0o666)
    elif how == "link":
        (tmp_path / "elsewhere").write_text("1000 20 JS:forged\n")
        file.symlink_to(tmp_path / "elsewhere")
    elif how == "pipe":
        os.mkfifo(file)
    assert isinstance(perf_map(7, tmp_path), str)


def test_a_process_that_has_ended_has_no_names_of_compiled_code(tmp_path):
    assert perf_map(7, tmp_path) == "it has ended, and what it compiled is not known any more"


def test_compiled_code_is_not_named_by_the_file_of_a_later_process_with_the_same_number():
    child = subprocess.Popen(["sleep", "60"])
    file = Path(f"/tmp/perf-{child.pid}.map")
    try:
        file.write_text("1000 20 JS:later\n")
        assert isinstance(perf_map(child.pid), PerfMap)
        assert isinstance(perf_map(child.pid, seen_ns=time.time_ns()), PerfMap)
        hour_ago = time.time_ns() - 3_600_000_000_000
        assert perf_map(child.pid, seen_ns=hour_ago) == "it has ended, and another process has its number now"
    finally:
        file.unlink(missing_ok=True)
        child.kill()
        child.wait()


def test_a_file_of_very_many_names_is_read_in_little_memory_or_refused(tmp_path):
    file = process(tmp_path)
    file.write_bytes(b"1 1 a\n" * 1_000_001)
    assert perf_map(7, tmp_path) == "its /tmp/perf-3.map has more than 1,000,000 lines"
    file.write_bytes(b"".join(b"%x 1 a\n" % at for at in range(0, 4_000_000, 4)))
    tracemalloc.start()
    found = perf_map(7, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, PerfMap)
    assert (found.name_at(8), found.name_at(9), found.name_at(-1), found.name_at(1 << 64)) == ("a", None, None, None)
    assert peak < 200 << 20


def test_a_name_that_unfolds_without_end_is_shown_as_it_is():
    name = "_Z1f1aIiiE" + "".join(f"S_IS{at}_S{at}_E" for at in range(10))
    began = time.process_time()
    assert demangled(name) == name
    assert time.process_time() - began < 1


def test_names_of_sections_are_not_read_without_end(tmp_path):
    file, count, filler = tmp_path / "long", 64, 1 << 20
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 0, 64 + filler, 0, 64, 56, 0, 64, count, 1,
    )  # fmt: skip
    sections = [struct.pack("<IIQQQQIIQQ", 0, 3 if at == 1 else 1, 0, 0, 64, filler, 0, 0, 1, 0) for at in range(count)]
    file.write_bytes(header + b"A" * filler + b"".join(sections))
    with file.open("rb") as opened_file, pytest.raises(UnreadableError, match="longer than any linker"):
        Elf(opened_file)


def test_a_link_on_the_way_to_a_file_is_not_followed(program):
    link = program.parent / "link"
    link.symlink_to(program.parent)
    found = opened(File(str(program), build_id(program)), None)
    assert isinstance(found, Binary)
    found.close()
    assert isinstance(opened(File(f"{link}/prog", build_id(program)), None), str)
    upwards = f"{program.parent}/../{program.parent.name}/prog"
    assert opened(File(upwards, build_id(program)), None) == "its path is none of a file"
    assert isinstance(opened(File("/", build_id(program)), None), str)


def test_the_c_library_of_this_machine_names_its_functions():
    file = next((Path(f"/lib/{name}/libc.so.6") for name in ("x86_64-linux-gnu", "aarch64-linux-gnu")), None)
    if file is None or not file.exists():
        pytest.skip("needs Debian's libc at its place")
    with file.open("rb") as opened_file:
        elf = Elf(opened_file)
        names = {found.name for offset in range(0x30000, 0x150000, 0x200) if (found := elf.function_at(offset))}
    assert {"qsort_r", "malloc", "printf"} & names, sorted(names)[:50]
