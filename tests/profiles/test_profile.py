"""Profiles: shares by function, what is made of them, and a real program from its samples to its names."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))
sys.path.insert(0, str(Path(__file__).parents[1] / "surfaces"))

from processes import kernelsight, started
from scenes import SECOND, START, stored

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.stacks import Stacks
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.collector import CollectorReport
from kernelsight.events.process import Process
from kernelsight.events.stack import Stack, StackSample
from kernelsight.linux.stacks import Frames, encoded
from kernelsight.profiles.difference import differences
from kernelsight.profiles.flame import flame_graph
from kernelsight.profiles.folded import folded
from kernelsight.profiles.pprof import pprof
from kernelsight.profiles.profile import NOT_KEPT, Profile, profile
from kernelsight.profiles.profile import Path as Way
from kernelsight.profiles.symbols import Name

COMPUTE = Path(__file__).parents[1] / "collectors/bpf/programs/compute.c"


def name(function, where="prog"):
    return Name(function, where, True)


def made(*ways):
    paths = tuple(Way(comm, tuple(map(name, names)), samples, samples * 10) for comm, names, samples in ways)
    return Profile(START, START + 60 * SECOND, paths)


PROFILE = made(("web", ("main", "serve", "hash"), 60), ("web", ("main", "serve"), 30), ("<b>&\x1b;x", ("main",), 10))


def kernel_stack(number, *functions):
    return Stack(START, stack_id=number, space="kernel", frames=encoded(Frames(kernel=functions)), ends="whole")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    samples = [
        StackSample(
            START + second * SECOND, pid=pid, comm=comm, kernel_stack_id=stack, samples=count, cpu_ns=count * 10
        )
        for second in range(20)
        for pid, comm, stack, count in ((7, "web", 1, 3), (7, "web", 2, 1), (8, "job", 2, 5), (9, "gone", 3, 1))
    ]
    where = [
        Process(START + second * SECOND, pid=pid, start_ticks=1, comm=comm, cgroup=group)
        for second in range(20)
        for pid, comm, group in ((7, "web", "/system.slice/web.service"), (8, "job", "/system.slice/job.service/sub"))
    ]
    stacks = [kernel_stack(1, "hash+0x1", "serve+0x2"), kernel_stack(2, "serve+0x7", "main+0x2")]
    return stored(tmp_path_factory.mktemp("profile") / "db", [*stacks, *samples, *where])


def test_shares_are_of_what_a_function_computed_itself_and_of_what_it_calls():
    shares = {share.name.function: (share.samples, share.total) for share in PROFILE.functions()}
    assert shares == {"hash": (60, 60), "serve": (30, 90), "main": (10, 100)}
    assert [share.name.function for share in PROFILE.functions()] == ["hash", "serve", "main"]


def test_a_window_is_read_with_the_stacks_that_its_samples_name(database):
    found = profile(database, START, START + 30 * SECOND)
    assert found.samples == 200
    assert {(path.comm, path.names[-1].function): path.samples for path in found.paths} == {
        ("web", "hash"): 60, ("web", "serve"): 20, ("job", "serve"): 100, ("gone", NOT_KEPT.function): 20,
    }  # fmt: skip


def test_half_a_window_has_half_of_the_samples(database):
    assert profile(database, START, START + 9 * SECOND).samples == 100
    assert profile(database, START, START + 9 * SECOND, {"pid": 7}).samples == 40


def test_a_service_and_a_control_group_are_those_of_their_processes(database):
    window = ("--db-path", database, "--since", START, "--until", START + 30 * SECOND, "--json")
    told = {
        option: json.loads(kernelsight("profile", *window, *option).stdout)["samples"]
        for option in (("--service", "web"), ("--cgroup", "/system.slice"), ("--cgroup", "/system.slice/job.service"))
    }
    assert list(told.values()) == [80, 180, 100]
    refused = kernelsight("profile", *window, "--service", "nothing")
    assert refused.returncode == 2
    assert "no process of the service nothing was recorded" in refused.stderr


def test_the_command_shows_functions_paths_and_what_is_not_known(database):
    said = kernelsight("profile", "--db-path", database, "--since", START, "--until", START + 30 * SECOND)
    assert said.returncode == 0, said.stderr
    assert "   60.0%    70.0%  serve (kernel)" in said.stdout or "   60.0%    90.0%  serve (kernel)" in said.stdout
    assert "   30.0%  web: " in said.stdout


def test_two_windows_are_compared_by_function(database):
    window = ("--since", START + 10 * SECOND, "--until", START + 19 * SECOND, "--against", START)
    said = kernelsight("profile", "--db-path", database, *window, "--json")
    changes = json.loads(said.stdout)["changes"]
    assert changes
    assert all(change["before"] == change["after"] and not change["is_sure"] for change in changes)


def test_a_difference_beyond_chance_is_told_from_one_that_may_be_chance():
    changes = {change.name.function: change for change in differences(PROFILE, made(("web", ("main", "hash"), 100)))}
    assert changes["hash"].is_sure
    assert changes["hash"].after - changes["hash"].before == pytest.approx(0.4)
    few = differences(made(("web", ("a",), 2), ("web", ("b",), 2)), made(("web", ("a",), 3), ("web", ("b",), 1)))
    assert not any(change.is_sure for change in few)


def test_folded_lines_have_a_path_and_its_samples():
    first, _, hostile = folded(PROFILE)
    assert first == "web;main (prog);serve (prog);hash (prog) 60"
    assert hostile == "<b>&\\x1b:x;main (prog) 10"


def test_a_flame_graph_needs_nothing_else_and_names_in_it_stay_text():
    page = flame_graph(PROFILE, "<script>")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;b&gt;&amp;" in page
    assert "\x1b" not in page
    assert page.count("<details") == page.count("</details>") == 1 + 2 + 4
    assert "serve (prog): 90.0 % (90 samples)" in page


def varints(data):
    """The fields of a protobuf message: number, and value or bytes."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 2:
            size = number()
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            yield tag >> 3, number()


def test_pprof_gets_samples_functions_and_times():
    fields = list(varints(gzip.decompress(pprof(PROFILE))))
    strings = [value.decode() for number, value in fields if number == 6]
    functions = {dict(varints(value))[1]: strings[dict(varints(value))[2]] for number, value in fields if number == 5}
    locations = {
        dict(varints(value))[1]: functions[dict(varints(dict(varints(value))[4]))[1]]
        for number, value in fields
        if number == 4
    }
    samples = [dict(varints(value)) for number, value in fields if number == 2]
    assert strings[0] == ""
    assert [locations[place] for place in samples[0][1]] == ["hash", "serve", "main"]
    assert list(samples[0][2]) == [60, 0xD8, 0x04]  # 600 ns
    assert dict(fields)[9] == START


def test_what_is_asked_together_must_go_together(database):
    assert kernelsight("profile", "--live", "2", "--since", "5m").returncode == 2
    assert kernelsight("profile", "--db-path", database, "--pid", "1", "--service", "web").returncode == 2


def test_why_nothing_was_sampled_is_said_where_the_collector_said_it(tmp_path):
    report = CollectorReport(START, name="stacks", status="unavailable", reason="not permitted without CAP_BPF\x1b[2J")
    path = stored(tmp_path / "live.db", [report])
    window = ("--since", START, "--until", START + 60 * SECOND)
    said = kernelsight("profile", "--db-path", path, *window)
    assert "Not known: what was computed: not permitted without CAP_BPF\\x1b[2J." in said.stdout
    told = kernelsight("profile", "--db-path", path, *window, "--json")
    assert json.loads(told.stdout)["unknown"] == ["what was computed: not permitted without CAP_BPF\\x1b[2J"]


def test_files_for_other_tools_are_never_written_through_a_link(database, tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    for option in ("--html", "--pprof"):
        link = tmp_path / f"link{option}"
        link.symlink_to(other)
        said = kernelsight("profile", "--db-path", database, "--since", "10m", option, link)
        assert said.returncode != 0
        assert "is a link" in said.stderr
    assert other.read_text() == "kept"


def test_a_file_for_pprof_goes_to_standard_output_alone(database):
    command = [sys.executable, "-m", "kernelsight", "profile", "--db-path", str(database), "--pprof", "-"]
    said = subprocess.run(command, check=True, capture_output=True)
    assert b"nanoseconds" in gzip.decompress(said.stdout)
    assert kernelsight("profile", "--db-path", database, "--html", "-", "--pprof", "-").returncode == 2


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.alone
def test_the_right_function_is_on_top_of_a_live_profile(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build a program whose functions are known")
    try:
        Stacks(Host()).close()
    except SourceUnavailableError as error:
        pytest.skip(f"needs stacks of running threads: {error}")
    subprocess.run(["gcc", "-O1", "-fno-omit-frame-pointer", "-o", tmp_path / "compute", COMPUTE], check=True)
    with subprocess.Popen([tmp_path / "compute", "60", "0.7"], stdout=subprocess.DEVNULL) as program:
        try:
            said = started("profile", "--live", "4", "--pid", program.pid, "--json")
        finally:
            program.kill()
    told = json.loads(said.stdout)
    first, second = told["functions"][:2]
    assert (first["function"], second["function"]) == ("heavy_work", "light_work"), told
    error = (0.7 * 0.3 / told["samples"]) ** 0.5
    assert abs(first["share"] / (first["share"] + second["share"]) - 0.7) < 4 * error, told
    assert told["paths"][0]["functions"][-2:] == ["main (compute)", "heavy_work (compute)"]
