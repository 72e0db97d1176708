"""What is mounted, installed, set up of the network, and when the machine was started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.netlink.network_setting import NetworkSettingCollector
from kernelsight.collectors.package_change import PackageChangeCollector
from kernelsight.collectors.procfs.boot import BootCollector
from kernelsight.collectors.procfs.mount import MountCollector
from kernelsight.errors import SourceUnavailableError
from kernelsight.linux.packages import LOGS, parse_work, programs_in, units_in

NOW = 1_800_000_000 * NS_PER_S
MOUNTS = """\
21 26 0:21 / /proc rw,relatime - proc proc rw
26 1 254:0 / / rw,relatime - ext4 /dev/vda rw,errors=remount-ro
30 26 8:1 / /data rw,noatime - ext4 /dev/sdb1 rw
31 26 0:40 net:[4026532] /run/netns/blue rw - nsfs nsfs rw
32 26 0:41 / /mnt/a\\040b rw - tmpfs tmpfs rw,size=1m
"""


class Machine:
    """Files, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root, self.seconds = root, 0
        self.host = Host(proc=root / "proc", monotonic_ns=lambda: self.seconds * NS_PER_S)

    def write(self, path: str, text: str, *, more: bool = False) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.root / path).open("a" if more else "w", encoding="utf-8") as file:
            file.write(text)

    def look(self, collector, seconds: int = 1):
        rows = []
        for _ in range(seconds):
            rows += collector.collect(NOW + self.seconds * NS_PER_S)
            self.seconds += 1
        return rows


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_mounts_are_told_once_and_then_when_they_change(machine):
    machine.write("proc/self/mountinfo", MOUNTS)
    collector = MountCollector(machine.host)
    first = machine.look(collector)
    assert [(row.mount_point, row.device, row.mount_options) for row in first] == [
        ("/proc", "proc", "relatime,rw"),
        ("/", "/dev/vda", "errors=remount-ro,relatime,rw"),
        ("/data", "/dev/sdb1", "noatime,rw"),
        ("/mnt/a b", "tmpfs", "rw,size=1m"),
    ]
    assert machine.look(collector, 40) == []
    machine.write("proc/self/mountinfo", MOUNTS.replace("/dev/sdb1 rw", "/dev/sdb1 ro").replace("32 26", "32 x"))
    changed, gone = machine.look(collector, 40)
    assert (changed.mount_point, changed.mount_options, changed.previous_options) == (
        "/data",
        "noatime,ro",
        "noatime,rw",
    )
    assert (gone.mount_point, gone.device, gone.previous_device) == ("/mnt/a b", None, "tmpfs")
    assert changed.timestamp - changed.unchanged_ns <= 21 * NS_PER_S
    collector.close()


MOUNTING = """
import json, subprocess, time
from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.mount import MountCollector
collector = MountCollector(Host())
list(collector.collect(time.time_ns()))
list(collector.collect(time.time_ns()))
quiet = time.time_ns()
list(collector.collect(quiet))
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "told", "/mnt"], check=True)
rows = list(collector.collect(time.time_ns()))
subprocess.run(["mount", "-o", "remount,ro", "/mnt"], check=True)
rows += collector.collect(time.time_ns())
subprocess.run(["umount", "/mnt"], check=True)
rows += collector.collect(time.time_ns())
print(json.dumps([[row.device, row.previous_options, row.unchanged_ns == quiet] for row in rows]))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare(1)")
def test_the_kernel_tells_of_mounts_at_once():
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", MOUNTING]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    (device, _, is_close), (_, options, _), (gone, _, _) = json.loads(said)
    assert (device, is_close, gone) == ("told", True, None)
    assert "rw" in options.split(",")


DPKG = """\
2027-01-15 07:00:00 startup archives unpack
2027-01-15 07:50:01 upgrade nginx:amd64 1.22.1-9 1.22.1-10
2027-01-15 07:50:02 status half-configured nginx:amd64 1.22.1-9
2027-01-15 07:50:03 install jq:amd64 <none> 1.6-2.1
2027-01-15 07:50:04 remove vim:amd64 2:9.0 <none>
"""


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def told(rows):
    return [(row.package, row.package_action, row.previous_version, row.version) for row in rows]


@pytest.mark.usefixtures("_utc")
def test_packages_are_read_from_the_log_of_dpkg_as_it_grows_and_is_rotated(machine):
    machine.write("var/log/dpkg.log", DPKG)
    machine.write(
        "var/lib/dpkg/info/nginx.list",
        "/.\n/usr/sbin/nginx\n/usr/share/doc/nginx\n/lib/systemd/system/nginx.service\n/usr/lib/a/bin/b\n",
    )
    collector = PackageChangeCollector.below(machine.root, machine.host)
    rows = machine.look(collector)
    assert told(rows) == [
        ("nginx:amd64", "upgraded", "1.22.1-9", "1.22.1-10"),
        ("jq:amd64", "installed", None, "1.6-2.1"),
        ("vim:amd64", "removed", "2:9.0", None),
    ]
    assert (rows[0].programs, rows[0].units) == ("/usr/sbin/nginx /usr/lib/a/bin/b", "nginx.service")
    assert (NOW - rows[0].happened_ns) // NS_PER_S == 599
    machine.write("var/log/dpkg.log", "2027-01-15 07:59:59 upgrade cu", more=True)
    assert machine.look(collector, 20) == []
    machine.write("var/log/dpkg.log", "rl:amd64 7 8\n", more=True)
    assert told(machine.look(collector, 20)) == [("curl:amd64", "upgraded", "7", "8")]
    machine.write("var/log/dpkg.log.new", "2027-01-15 08:00:01 install x:all <none> 1\n")
    (machine.root / "var/log/dpkg.log.new").rename(machine.root / "var/log/dpkg.log")
    assert told(machine.look(collector, 20)) == [("x:all", "installed", None, "1")]


@pytest.mark.usefixtures("_utc")
def test_of_a_long_log_the_end_is_read_and_of_old_work_nothing(machine):
    old = "2027-01-10 07:50:01 upgrade old:amd64 1 2\n"
    machine.write("var/log/dpkg.log", old * 20_000 + DPKG)
    assert len(machine.look(PackageChangeCollector.below(machine.root, machine.host))) == 3


def test_a_log_that_is_a_link_or_a_pipe_is_not_read(machine):
    machine.write("etc/secret", DPKG)
    (machine.root / "var/log").mkdir(parents=True)
    (machine.root / "var/log/dpkg.log").symlink_to(machine.root / "etc/secret")
    os.mkfifo(machine.root / "var/log/pacman.log")
    assert machine.look(PackageChangeCollector.below(machine.root, machine.host)) == []


def test_where_no_log_tells_the_database_tells_that_something_changed(machine):
    machine.write("lib/apk/db/installed", "P:musl\n")
    os.utime(machine.root / "lib/apk/db/installed", ns=(NOW - NS_PER_S, NOW - NS_PER_S))
    collector = PackageChangeCollector.below(machine.root, machine.host)
    (row,) = machine.look(collector, 30)
    assert (row.package_manager, row.package, row.package_action) == ("apk", None, "changed")
    assert row.happened_ns == NOW - NS_PER_S


@pytest.mark.usefixtures("_utc")
@pytest.mark.parametrize(("written_s", "rows"), [(-590, 0), (-60, 1)])
def test_a_log_that_tells_nothing_any_more_does_not_silence_the_database(machine, written_s, rows):
    log = "2027-01-15T07:50:00+0000 SUBDEBUG Upgrade: python3-libs-3.12.1-2.fc40.x86_64\n"
    machine.write("var/log/dnf.rpm.log", log)
    machine.write("usr/lib/sysimage/rpm/rpmdb.sqlite", "")
    written_ns = NOW + written_s * NS_PER_S
    os.utime(machine.root / "usr/lib/sysimage/rpm/rpmdb.sqlite", ns=(written_ns, written_ns))
    seen = machine.look(PackageChangeCollector.below(machine.root, machine.host))
    assert [row.package for row in seen] == ["python3-libs", *[None] * rows]


def test_without_a_package_manager_it_says_so(machine):
    with pytest.raises(SourceUnavailableError, match="no log of dpkg"):
        PackageChangeCollector.below(machine.root, machine.host)


@pytest.mark.parametrize(
    ("manager", "line", "expected"),
    [
        (
            "pacman", "[2027-01-15T08:00:00+0000] [ALPM] upgraded linux (6.1-1 -> 6.2-1)",
            ("linux", "upgraded", "6.2-1", "6.1-1"),
        ),
        ("pacman", "[2027-01-15T08:00:00+0000] [ALPM] removed vim (9.0-1)", ("vim", "removed", None, "9.0-1")),
        (
            "dnf", "2027-01-15T08:00:00+0000 SUBDEBUG Upgrade: python3-libs-3.12.1-2.fc40.x86_64",
            ("python3-libs", "upgraded", "3.12.1-2.fc40.x86_64", None),
        ),
        ("dnf", "2027-01-15T08:00:00+0000 INFO --- logging initialized ---", None),
        ("dpkg", "9999-99-99 99:99:99 upgrade a 1 2", None),
        ("dpkg", "2027-01-15 08:00:00 upgrade \x1b[31m:amd64 1 2", ("\x1b[31m:amd64", "upgraded", "2", "1")),
    ],
)  # fmt: skip
def test_lines_of_logs(manager, line, expected):
    work = parse_work(next(log for log in LOGS if log.manager == manager), line)
    assert (None if work is None else tuple(work[1:])) == expected


def test_programs_and_units_of_a_package_are_bounded():
    assert len(programs_in(f"/usr/bin/{number}" for number in range(1000))) == 40
    assert programs_in(["/usr/bin/a b", "/etc/bin", "/usr/lib/postgresql/15/bin/postgres"]) == [
        "/usr/lib/postgresql/15/bin/postgres"
    ]
    assert units_in(["/usr/lib/systemd/system/a@.service", "/etc/systemd/system/b.service"]) == ["a@.service"]


NETWORK = """
import json, subprocess, time
from kernelsight.collectors.base import Host
from kernelsight.collectors.netlink.network_setting import NetworkSettingCollector
def ip(text):
    subprocess.run(["ip", *text.split()], check=True)
ip("link add told type veth peer name other")
ip("link set told up")
ip("link set other up")
collector = NetworkSettingCollector(Host())
rows = list(collector.collect(time.time_ns()))
assert {row.sort for row in rows} >= {"mtu"}, rows
def after(text):
    ip(text)
    found = [row for row in collector.collect(time.time_ns()) if ":" not in row.target]
    return [[row.sort, row.interface_name, row.target, row.value, row.previous_value] for row in found]
print(json.dumps([
    after("link set told mtu 1234"), after("address add 10.9.8.1/24 dev told"),
    after("route add default via 10.9.8.2 metric 7"), after("address del 10.9.8.1/24 dev told"),
]))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip(8)")
def test_the_kernel_tells_of_addresses_and_routes_at_once():
    command = ["unshare", "-n", sys.executable, "-c", NETWORK]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    mtu, address, route, gone = json.loads(said)
    assert mtu == [["mtu", "told", "mtu", "1234", "1500"]]
    assert ["address", "told", "10.9.8.1/24", "global", None] in address
    assert ["route", "told", "10.9.8.0/24", "direct, metric 0", None] in address
    assert route == [["route", "told", "0.0.0.0/0", "via 10.9.8.2, metric 7", None]]
    assert ["address", "told", "10.9.8.1/24", None, "global"] in gone


def test_network_settings_are_of_this_machine_only(tmp_path):
    with pytest.raises(SourceUnavailableError, match="of this machine"):
        NetworkSettingCollector(Host(proc=tmp_path))


def test_the_start_of_the_machine_is_before_every_process():
    (row,) = BootCollector(Host()).collect(time.time_ns())
    started = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    age_s = (time.time_ns() - row.boot_ns) / NS_PER_S - started / 100
    assert -1 < age_s < 3600, "this process was started before now, and not an hour ago"
    assert row.kernel_release == os.uname().release


def test_a_machine_without_a_kernel_to_ask_says_so(tmp_path):
    with pytest.raises(SourceUnavailableError, match="osrelease"):
        BootCollector(Host(proc=tmp_path))
