"""What Prometheus scrapes: names and units by its conventions, values as they are stored, hostile names inert."""

from __future__ import annotations

import math
import shutil
import subprocess

import pytest
from click.testing import CliRunner
from exported import EVENTS, HOSTILE, NOW, S, store_of
from prometheus_client.parser import text_string_to_metric_families

from kernelsight.events.block import Block
from kernelsight.events.wire import kinds
from kernelsight.stores.base import open_reader
from kernelsight.surfaces.cli.main import main
from kernelsight.surfaces.exports.families import exported, families
from kernelsight.surfaces.exports.newest import MOST_SERIES
from kernelsight.surfaces.exports.prometheus import LONGEST_LABEL, exposition


def scraped(path, **how):
    reader = open_reader(path)
    try:
        text = exposition(reader, now_ns=NOW, **how).decode()
    finally:
        reader.close()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }, text


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("exported") / "db", EVENTS)


def test_values_are_the_newest_in_base_units(path):
    samples, _ = scraped(path)
    assert samples["kernelsight_memory_mem_bytes", ()] == 4_000_000 * 1024
    assert samples["kernelsight_memory_mem_free_bytes", ()] == 1_000_000 * 1024
    disk = (("device_name", "sda"),)
    assert samples["kernelsight_block_read_bytes_total", disk] == 2_000 * 512
    assert samples["kernelsight_block_io_seconds_total", disk] == 1.5
    assert samples["kernelsight_block_in_flight_requests", disk] == 3


def test_a_series_without_a_recent_row_is_left_out(path):
    samples, _ = scraped(path)
    assert not [key for key in samples if ("device_name", "gone") in key[1]]


def test_a_row_of_all_cpus_adds_only_what_no_cpu_tells(path):
    samples, _ = scraped(path)
    users = {dict(labels)["cpu"]: value for (name, labels), value in samples.items() if "cpu_user" in name}
    assert users == {"0": 1.0, "1": 2.0}
    assert samples["kernelsight_cpu_forks_total", (("cpu", ""),)] == 77


def test_processes_are_exported_where_somebody_asks_for_them(path):
    key = ("kernelsight_process_rss_bytes", (("pid", "4182"), ("start_ticks", "9")))
    assert key not in scraped(path)[0]
    assert scraped(path, processes=True)[0][key] == 7 * 1024


def test_findings_signals_and_accounts(path):
    samples, _ = scraped(path)
    assert samples["kernelsight_signals_going_on", (("rule", "io_stall"), ("severity", "critical"))] == 1
    assert samples["kernelsight_healthy", ()] == 0
    culprit = (("culprit", "17"), ("culprit_kind", "process"), ("culprit_name", "scan"), ("fault", "disk_saturation"))
    assert samples["kernelsight_finding_confidence_ratio", culprit] == 0.75


def test_what_is_not_known_is_not_a_number(tmp_path):
    from kernelsight.events.action import DiagnosisRow

    samples, _ = scraped(store_of(tmp_path / "db", [DiagnosisRow(NOW - S, diagnosis_id="a", rank=0)]))
    assert math.isnan(samples["kernelsight_healthy", ()])


def test_a_hostile_name_stays_in_its_label(path):
    samples, text = scraped(path)
    assert not [key for key in samples if "evil" in key[0]]
    assert "\x1b" not in text
    names = [
        dict(labels)["interface_name"] for (name, labels) in samples if name == "kernelsight_network_rx_bytes_total"
    ]
    assert names == [HOSTILE.replace("\n", "\\n").replace("\x1b", "\\x1b")]


def test_a_scrape_is_bounded_and_says_what_it_leaves_out(tmp_path):
    many = (Block(NOW - S, device_name=f"d{number}", io_ticks=number) for number in range(MOST_SERIES + 7))
    long = (Block(NOW - S, device_name="x" * LONGEST_LABEL + end, io_ticks=10**6) for end in "ab")
    samples, _ = scraped(store_of(tmp_path / "db", [*many, *long]))
    seen = {dict(labels)["device_name"] for name, labels in samples if name == "kernelsight_block_io_seconds_total"}
    assert len(seen) == MOST_SERIES
    assert f"d{MOST_SERIES + 6}" in seen  # those that do most
    assert "d0" not in seen
    assert len([name for name in seen if name.startswith("x")]) == 2  # two long names stay two
    assert samples["kernelsight_export_left_out_series", (("kind", "block"),)] == 9


def test_no_two_metrics_have_the_same_name():
    names = [family.name for kind in exported(processes=True) for family in families(kind)]
    assert len(set(names)) == len(names) > 300
    assert {kind.name for kind in exported()} < set(kinds())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_has_nothing_to_say(path):
    _, text = scraped(path, processes=True)
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_every_family_passes_the_lint_that_promtool_would_do_on_a_full_machine():
    """promtool sees what one machine has; the rules of its lint that names can break hold for all declarations."""
    abbreviated = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
    for kind in exported(processes=True):
        for family in families(kind):
            assert not abbreviated & set(family.name.split("_")), family.name
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), family.name
            assert family.name.replace("_", "").isalnum(), family.name
            assert family.name == family.name.lower()
            assert family.help


def test_the_command_prints_the_moment_that_is_asked_for(path):
    ran = CliRunner().invoke(main, ["metrics", "--db-path", path, "--at", "2026-09-21T14:13:20+00:00"])
    assert ran.exit_code == 0
    assert 'kernelsight_block_read_bytes_total{device_name="sda"} 1.024e+06' in ran.output
    now = CliRunner().invoke(main, ["metrics", "--db-path", path])
    assert "kernelsight_block_read_bytes_total" not in now.output  # months later, nothing is recent
    assert "kernelsight_healthy 0.0" in now.output
