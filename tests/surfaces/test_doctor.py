"""`kernelsight doctor` as a process: for root, for nobody, without libbpf, without BTF, with tracefs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from ctypes.util import find_library
from pathlib import Path

import pytest
from processes import COMMAND, PATIENCE_S, environment, kernelsight

BTF = Path("/sys/kernel/btf")
root = pytest.mark.root
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide things from a process")


def in_own_mounts(preparation, *arguments):
    """Run a command where mounts have been changed for it alone."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    script = f'{preparation} && exec "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *COMMAND, *arguments],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment(),
    )  # fmt: skip


def examined(done):
    """What it found, as JSON; it must have said nothing else, and exited as that says."""
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["complete"] else 1)
    assert found["complete"] == (not found["missing"])
    found["machine"] = {fact["name"]: fact for fact in found["machine"]}
    found["collectors"] = {(one["collector"], one["source"]): one for one in found["collectors"]}
    return found


def test_it_says_what_the_list_of_collectors_says():
    done = kernelsight("doctor", "--verbose")
    assert done.stderr == ""
    listed = kernelsight("collect", "--list")
    machine, sources, verdict = done.stdout.split("\n\n")
    assert sources.splitlines() == listed.stdout.splitlines()
    assert machine.splitlines()[1].split()[:2] == ["kernel", "-"]
    assert verdict.endswith("can run here.\n")
    assert verdict.startswith("All ") == (done.returncode == 0)


def test_a_screenful_says_what_does_not_work_and_what_to_do():
    done = kernelsight("doctor", env=environment(COLUMNS="80"))
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    machine = examined(kernelsight("doctor", "--json"))["machine"]
    broken = [fact for fact in machine.values() if fact["works"] is False]
    for fact in broken:
        assert fact["name"] in text
        assert fact["remedy"] in text
    assert not any(f"{fact['name']}: " in text for fact in machine.values() if fact["works"])


def test_both_renderings_have_the_same_facts():
    found = examined(kernelsight("doctor", "--json"))
    text = kernelsight("doctor", "-v").stdout
    for name, fact in found["machine"].items():
        assert name in text
        assert fact["remedy"] in text
    load = found["collectors"]["load", "procfs"]
    assert (load["available"], load["used"], load["tables"]) == (True, True, ["load_metrics"])


@root
@only_root
def test_nobody_is_told_what_is_missing_and_how_to_get_it():
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    if subprocess.run([*words, *COMMAND, "version"], capture_output=True, check=False).returncode:
        pytest.skip("nobody may not read this checkout or its interpreter")
    done = subprocess.run(
        [*words, *COMMAND, "doctor", "--json"], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    found = examined(done)
    assert {"syscall", "wait", "io_latency"} <= set(found["missing"])
    assert found["machine"]["BPF programs"]["remedy"] == "run as root or with CAP_BPF and CAP_PERFMON"
    short = subprocess.run(
        [*words, *COMMAND, "doctor"], capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        env=environment(COLUMNS="80"),
    ).stdout  # fmt: skip
    assert len(short.splitlines()) <= 24
    assert short.count("not permitted without CAP_BPF and CAP_PERFMON") <= 2
    assert found["collectors"]["process", "procfs"]["used"]
    assert any("CAP_SYS_PTRACE" in limit for limit in found["collectors"]["process", "procfs"]["limitations"])


@root
@only_root
def test_without_libbpf_it_says_which_package_to_install():
    library = find_library("bpf")
    places = [place for folder in ("/usr/lib", "/lib", "/usr/lib64") for place in Path(folder).rglob(str(library))]
    if not library or not places:
        pytest.skip("there is no libbpf to hide")
    hide = " && ".join(f"mount --bind /dev/null '{place}'" for place in {place.resolve() for place in places})
    found = examined(in_own_mounts(hide, "doctor", "--json"))
    assert (found["machine"]["libbpf"]["works"], found["machine"]["libbpf"]["remedy"]) == (False, "apt install libbpf1")
    assert "apt install libbpf1" in found["collectors"]["syscall", "bpf"]["reason"]
    assert found["collectors"]["process", "procfs"]["used"]


@root
@only_root
@pytest.mark.skipif(not BTF.is_dir(), reason="this kernel has no BTF to hide")
def test_without_btf_every_tracer_says_so_and_the_others_run():
    found = examined(in_own_mounts(f"mount -t tmpfs none {BTF}", "doctor", "--json"))
    assert "CONFIG_DEBUG_INFO_BTF" in found["machine"]["kernel BTF"]["remedy"]
    sources = found["collectors"].values()
    on_bpf = [one for one in sources if one["source"] == "bpf"]
    assert on_bpf
    assert all("CONFIG_DEBUG_INFO_BTF" in one["reason"] for one in on_bpf)
    assert found["collectors"]["load", "procfs"]["used"]


@root
@only_root
def test_the_named_remedy_for_tracefs_is_one():
    if subprocess.run(["unshare", "-m", "mount", "-t", "tracefs", "none", "/mnt"], capture_output=True).returncode:  # noqa: PLW1510
        pytest.skip("this kernel has no tracefs")
    found = examined(in_own_mounts("mount -t tracefs tracefs /sys/kernel/tracing", "doctor", "--json"))
    assert found["machine"]["tracefs"]["works"]
    assert found["machine"]["BPF on tracepoints by number"]["works"]
