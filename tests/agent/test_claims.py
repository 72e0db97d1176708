"""Which numbers of a claim its evidence shows, and whom cited rows name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.agent.claims import unshown_number
from kernelsight.diagnosis.model import Evidence

SECOND = 10**9
RAN = Evidence("sched_process_stats", 0, 29 * SECOND, "cpu_time_ms", "sum", 17_234.0, (1, 2, 3), baseline=1_000.0)
GREW = Evidence("process_stats", 0, 29 * SECOND, "rss_kb", "last", 1_572_864.0, (1,))


@pytest.mark.parametrize(
    "claim",
    [
        "crunch (4711) ran for 17 s",
        "it ran for 17.2 s",
        "17,234 ms of CPU time",
        "about 17,000 ms",
        "0.59 s a second: 59 % of a CPU",
        "594 ms/s",
        "16 s more than before",
        "17 times as long as before",
        "1723% of what it was",
        "three of 3 rows",
        "over 29 seconds",
        "since 14:05:03 on 2026-11-23",
        "dm-0, 192.168.1.1:8080 and /data/2026 are names",
        "2 of 4 CPUs",
        "nothing to count",
    ],
)
def test_numbers_that_the_rows_show(claim):
    assert unshown_number(claim, [RAN], {"4711"}) == ""


@pytest.mark.parametrize(
    ("claim", "number"),
    [
        ("it ran for 44 seconds", "44 seconds"),
        ("it used 900 % of a CPU", "900 %"),
        ("in 250 ms", "250 ms"),
        ("pid 4712", "4712"),
        ("17.9 s", "17.9 s"),
        ("it wrote 17 GiB and 234 kB", "234 kB"),
    ],
)
def test_numbers_that_they_do_not(claim, number):
    assert unshown_number(claim, [RAN], {"4711"}) == number


def test_bytes_may_be_told_in_powers_of_two():
    assert unshown_number("it holds 1536 MiB", [GREW]) == ""
    assert unshown_number("it holds 1.5 GiB", [GREW]) == ""
    assert unshown_number("it holds 1700 MiB", [GREW]) == "1700 MiB"


@given(st.text() | st.from_regex(r"[0-9,.%a-z ]+", fullmatch=True))
def test_any_claim_can_be_looked_at(claim):
    assert unshown_number(claim, [RAN]) in claim


def test_a_number_beyond_all_bounds_is_not_shown():
    assert unshown_number(f"{'9' * 5000} s", [RAN])
