"""Health of hardware, from trees as kernels show them, and from the interfaces of a namespace of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.sysfs.cpu_speed import CpuSpeedCollector
from kernelsight.collectors.sysfs.link import LinkCollector, type_in
from kernelsight.collectors.sysfs.memory_errors import MemoryErrorsCollector
from kernelsight.collectors.sysfs.raid_array import RaidArrayCollector, parse_completed
from kernelsight.errors import SourceUnavailableError

NOW = 1_800_000_000_000_000_000
CPU = {
    "cpu0/cpufreq/scaling_cur_freq": "1200000",
    "cpu0/cpufreq/scaling_max_freq": "1400000",
    "cpu0/cpufreq/cpuinfo_max_freq": "3600000",
    "cpu0/cpufreq/scaling_governor": "powersave",
    "cpu0/thermal_throttle/core_throttle_count": "17",
    "cpu0/thermal_throttle/core_throttle_total_time_ms": "450",
    "cpu0/thermal_throttle/package_throttle_count": "3",
    "cpu10/cpufreq/scaling_max_freq": "3600000",
    "cpu2/topology/core_id": "1",
    "cpuidle/current_driver": "none",
}
EDAC = {
    "mc0/ce_noinfo_count": "1",
    "mc0/ue_noinfo_count": "0",
    "mc0/dimm0/dimm_label": "CPU_SrcID#0_Chan#0_DIMM#0",
    "mc0/dimm0/dimm_ce_count": "42",
    "mc0/dimm0/dimm_ue_count": "1",
    "mc0/dimm1/dimm_ce_count": "0",
    "mc0/power/control": "auto",
}
RAID = {
    "md0/md/level": "raid1",
    "md0/md/array_state": "clean",
    "md0/md/raid_disks": "2",
    "md0/md/degraded": "1",
    "md0/md/sync_action": "recover",
    "md0/md/sync_completed": "1024 / 4096",
    "md0/md/dev-sda1/state": "in_sync",
    "md0/md/dev-sdb1/state": "faulty,write_error",
    "md1/md/level": "raid0",
    "md1/md/raid_disks": "4 (3)",
    "sda/stat": "1",
}


def host(tmp_path: Path, folder: str, tree: dict[str, str]) -> Host:
    for path, text in tree.items():
        file = tmp_path / folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    return Host(sys=tmp_path)


def test_speeds_and_heat_of_cpus_are_read_in_their_order(tmp_path):
    collector = CpuSpeedCollector(host(tmp_path, "devices/system/cpu", CPU))
    first, last = collector.collect(NOW)
    assert (first.cpu, first.frequency_khz, first.limit_khz, first.hardware_khz) == (0, 1_200_000, 1_400_000, 3_600_000)
    assert (first.governor, first.core_throttles, first.core_throttled_ms) == ("powersave", 17, 450)
    assert (first.package_throttles, first.package_throttled_ms) == (3, None)
    assert (last.cpu, last.limit_khz, last.core_throttles) == (10, 3_600_000, None)


def test_errors_of_memory_are_read_by_module(tmp_path):
    rows = list(MemoryErrorsCollector(host(tmp_path, "devices/system/edac/mc", EDAC)).collect(NOW))
    assert [(row.module, row.corrected, row.uncorrected) for row in rows] == [
        (None, 1, 0),
        ("CPU_SrcID#0_Chan#0_DIMM#0", 42, 1),
        ("dimm1", 0, None),
    ]


def test_an_array_that_lacks_a_disk_says_which(tmp_path):
    whole, plain = RaidArrayCollector(host(tmp_path, "block", RAID)).collect(NOW)
    assert (whole.device_name, whole.degraded, whole.faulty, whole.synced_share) == ("md0", 1, "sdb1", 0.25)
    assert (plain.degraded, plain.faulty, plain.raid_disks) == (None, None, 4)


@pytest.mark.parametrize(("text", "share"), [("none", None), ("delayed", None), (None, None), ("0 / 10", 0.0)])
def test_progress_is_read(text, share):
    assert parse_completed(text) == share


@pytest.mark.parametrize("text", ["1", "1 / 0", "x / y"])
def test_progress_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"whole|literal"):
        parse_completed(text)


@pytest.mark.parametrize("factory", [CpuSpeedCollector, MemoryErrorsCollector, RaidArrayCollector, LinkCollector])
def test_a_sysfs_that_is_not_there_is_said(tmp_path, factory):
    with pytest.raises(SourceUnavailableError, match=str(tmp_path)):
        factory(Host(sys=tmp_path))


def test_hardware_that_a_machine_does_not_have_gives_no_rows(tmp_path):
    virtual = host(tmp_path, "devices/system/cpu", {"cpu0/topology/core_id": "0"})
    assert list(CpuSpeedCollector(virtual).collect(NOW)) == []
    assert list(MemoryErrorsCollector(virtual).collect(NOW)) == []


def test_the_kind_of_an_interface_is_what_the_kernel_calls_it():
    assert type_in(b"DEVTYPE=bridge\nINTERFACE=DEVTYPE=x\nIFINDEX=3\n") == "bridge"
    assert type_in(b"INTERFACE=eth0\nIFINDEX=2\n") is None
    assert type_in(b"") is None


LOSE_A_LINK = """
import json, subprocess
import msgspec
from kernelsight.collectors.base import Host
from kernelsight.collectors.sysfs.link import LinkCollector
def ip(*words): subprocess.run(["ip", *words], check=True)
ip("link", "add", "near", "type", "veth", "peer", "name", "far")
for end in ("near", "far"): ip("link", "set", end, "up")
links = LinkCollector(Host())
def near(): return [msgspec.to_builtins(one) for one in links.collect(1) if one.interface_name == "near"]
def after(*command): return (ip(*command), near())[1]
steps = [near(), near(), after("link", "set", "far", "down"), after("link", "set", "far", "up")]
print(json.dumps([*steps, after("link", "set", "near", "down")]))
"""


@pytest.mark.root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_a_link_that_goes_is_told_from_one_that_is_taken_down():
    command = ["unshare", "--net", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && exec "$@"', "sh"]
    done = subprocess.run([*command, sys.executable, "-c", LOSE_A_LINK], capture_output=True, text=True, check=True)
    first, unchanged, lost, back, down = json.loads(done.stdout)
    assert (first[0]["operstate"], first[0]["is_up"]) == ("up", True)
    assert first[0]["has_device"] is False
    assert unchanged == []
    assert (lost[0]["is_up"], lost[0]["operstate"]) == (True, "lowerlayerdown")
    assert lost[0]["carrier_downs"] == first[0]["carrier_downs"] + 1
    assert (back[0]["operstate"], back[0]["carrier_ups"]) == ("up", first[0]["carrier_ups"] + 1)
    assert down[0].get("is_up") is False
