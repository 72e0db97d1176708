"""Questions in plain words, answered without a model: each claim with rows that show it, and what can't be said."""

import contextlib
import time
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import SECOND, START, cpus, stored, used
from story import WINDOW

from kernelsight.agent.questions.times import spoken_times
from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis.check import wrong_with
from kernelsight.errors import UsageError
from kernelsight.events.block import Block
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait
from kernelsight.events.syscalls import Syscall
from kernelsight.moments import format_time
from kernelsight.query.source import opened
from kernelsight.query.times import TimeRange

MIB = 2**20


def machine():
    """A web server that is starved, a leaking cache, a backup that writes, and memory that gets less."""
    yield from cpus(2)
    for pid in (70, 71):
        yield from used(pid, "crunch", 900, 600, group=5)
    yield from used(12, "web", 100, 400)
    for second in range(30):
        at = START + second * SECOND
        free = 8 * 2**20 - second * 2**18  # 8 GiB, a quarter less each second
        yield Memory(at, mem_total_kb=16 * 2**20, mem_available_kb=free)
        yield Filesystem(at, mount_point="/", size_bytes=2**40, avail_bytes=2**39)
        yield Filesystem(at, mount_point="/data", size_bytes=2**40, avail_bytes=2**33)
        yield Block(at, device_name="vda", write_sectors=second * 1000, io_ticks=second * 100)
        for pid, comm, rss, written in ((12, "web", 100, 0), (30, "cache", 900, 1), (31, "backup", 10, 50)):
            yield Process(
                at, pid=pid, start_ticks=1, comm=comm, rss_kb=rss * 1024 + second, write_bytes=written * MIB * second
            )
    blocked = {"pid": 12, "comm": "web", "waits_in": "fsync", "state": "uninterruptible"}
    for second in range(5, 10):
        yield Wait(START + second * SECOND, **blocked, waker_pid=31, waker_comm="backup", count=3, wait_ns=800_000_000)
        yield Syscall(
            START + second * SECOND, pid=12, comm="web", syscall_name="fsync", latency_ns=second * 100_000_000
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("ask") / "db", machine())


def asked(store, *texts):
    """The report on the last of some questions of one conversation; what it claims is proven."""
    conversation = reasoner("offline", store)
    report = [conversation.ask(Question(WINDOW, text)) for text in texts][-1]
    with opened(store) as reader:
        for step in report.answer:
            assert step.evidence
            assert [wrong_with(reader, evidence) for evidence in step.evidence] == [""] * len(step.evidence)
    return report


@pytest.mark.parametrize(
    ("question", "claims"),
    [
        ("who used most memory?", ["cache (30): rss 900 MiB", "web (12): rss 100 MiB", "backup (31): rss 10 MiB"]),
        ("top 1 processes by memory", ["cache (30): rss 900 MiB"]),
        ("which process writes most to the disk", ["backup (31): write bytes 1.42 GiB", "cache (30)"]),
        ("who took the CPU", ["crunch (70): cpu time 27 s", "crunch (71): cpu time 27 s", "web (12): cpu time 3 s"]),
        ("which file system has least space?", ["/data: avail bytes 8 GiB", "/: avail bytes 512 GiB"]),
        ("what is the slowest system call?", ["web (12): fsync: latency 900 ms"]),
        ("when did backup write most", ["write bytes was highest at 2026-09-21T14:13:21+00:00: 50 MiB in 1 s"]),
        ("what did backup do?", ["backup (31): rss 10 MiB", "backup (31): write bytes 1.42 GiB"]),
        ("how much memory did cache use", ["cache (30): rss 900 MiB"]),
        (
            "how much memory was free",
            ["15.2 GiB of 16 GiB used and 768 MiB free (5%) at the end; at least 768 MiB was free"],
        ),
        ("when was free memory lowest?", ["was lowest at 2026-09-21T14:13:49+00:00: 768 MiB"]),
        ("when did memory drop below 4 GB?", ["below 4 GB for the first time at 2026-09-21T14:13:37+00:00"]),
        ("when did the rss of cache exceed 900 MB", ["above 900 MB for the first time at 2026-09-21T14:13:21+00:00"]),
        ("when did it begin?", ["cpu saturation by crunch (70) began before that time"]),
        ("show the top 2 of process_stats.write_bytes", ["backup (31): write bytes", "cache (30): write bytes"]),
        ("how much did process 31 write", ["backup (31): write bytes 1.42 GiB"]),
        ("list the busiest device", ["vda was busy 10% of the time"]),
        ("how much was written on vda?", ["vda: write sectors 14.2 MiB"]),
    ],
)
def test_questions_and_their_answers(store, question, claims):
    report = asked(store, question)
    said = [step.claim for step in report.answer]
    assert len(said) >= len(claims), said
    for claim, wanted in zip(said, claims, strict=False):
        assert wanted in claim


def test_why_somebody_was_slow_is_told_from_the_findings_and_from_what_it_waited_for(store):
    report = asked(store, "why was web slow?")
    assert report.explains
    assert report.diagnosis.findings[0].culprit.name == "crunch"
    assert [step.claim for step in report.answer] == [
        "web was ready to run and had no CPU for 12 s",
        "web was blocked in fsync for 4 s until backup (31) woke it",
        "the longest system call of web took 900 ms",
    ]


def test_a_conversation_goes_on_from_what_was_asked_before(store):
    assert asked(store, "who used most memory?", "and cpu?").answer[0].claim.startswith("crunch (70): cpu time 27 s,")
    assert asked(store, "how much memory did cache use", "and web?").answer[0].claim.startswith("web (12): rss")
    narrowed = asked(store, "who used most cpu?", "and between 2026-09-21 14:13:20Z and 2026-09-21 14:13:24Z?")
    assert narrowed.answer[0].claim.startswith("crunch (70): cpu time 3.6 s,")


def test_what_was_not_needed_for_the_first_answer_is_there_for_the_second(store):
    assert (
        asked(store, "when did it begin for web?", "and how much memory?").answer[0].claim.startswith("web (12): rss")
    )


def test_what_changed_is_told_with_what_it_was_before(store):
    start, middle, end = (format_time(START + second * SECOND) for second in (0, 10, 20))
    report = asked(store, f"compare {start} to {middle} with {middle} to {end}")
    assert report.answer
    assert any(evidence.baseline is not None for step in report.answer for evidence in step.evidence)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("is the moon full of cheese", "I did not understand “moon” and “cheese”"),
        ("tell me a joke", "without a model"),
        ("why was postgres slow", "nothing called postgres is in the rows of that time"),
        ("who eats most", "most of what?"),
        ("how much is it", "how much of what?"),
        ("what was the average load", "nothing about load was recorded"),
        ("when did written bytes of vda exceed 5", "so it crosses no limit"),
        ("who reads most?", "there was no read bytes"),
        ("tell me about yourself", "the question names no process"),
        ("who dropped packets?", "nothing about drop packet was recorded"),
        ("when did memory exceed 100 GB", "never in that time"),
        ("'; DROP TABLE process_stats; --", "without a model"),
    ],
)
def test_what_cannot_be_told_is_said(store, question, said):
    report = asked(store, question)
    assert said in " ".join(report.limits)
    assert report.answer == ()


def test_a_report_goes_through_json_unchanged(store):
    from kernelsight.agent.model import Report

    report = asked(store, "why was web slow?")
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


NOW = int(datetime(2026, 11, 23, 15, 30).timestamp()) * SECOND  # noqa: DTZ001 - the clock of whoever asks


def local(hour, minute=0, second=0, day=23):
    return int(datetime(2026, 11, day, hour, minute, second).timestamp()) * SECOND  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("why was it slow around 14:05?", (local(14, 4), local(14, 7) - 1)),
        ("why at 14:05:10", (local(14, 4, 40), local(14, 5, 40))),
        ("between 14:00 and 14:10", (local(14), local(14, 10))),
        ("from 23:50 to 00:10", (local(23, 50, day=22), local(0, 10))),
        ("14:00-14:10", (local(14), local(14, 10))),
        ("since 14:00", (local(14), NOW)),
        ("in the last 10 minutes", (NOW - 600 * SECOND, NOW)),
        ("over the past hour", (NOW - 3600 * SECOND, NOW)),
        ("last 90s", (NOW - 90 * SECOND, NOW)),
        ("In The Last 5 Minutes", (NOW - 300 * SECOND, NOW)),
        ("An Hour ago", (NOW - 3960 * SECOND, NOW - 3240 * SECOND)),
        ("an hour ago", (NOW - 3960 * SECOND, NOW - 3240 * SECOND)),
        ("5 minutes ago", (NOW - 330 * SECOND, NOW - 270 * SECOND)),
        ("on 2026-11-20 09:00 it was", (local(8, 59, day=20), local(9, 2, day=20) - 1)),
        ("today", (local(0), NOW)),
        ("yesterday", (local(0, day=22), local(0) - 1)),
        ("at 2026-11-23T14:05:00Z", None),
    ],
)
def test_times_as_people_say_them(text, when):
    said = spoken_times(text, NOW)
    assert len(said.ranges) == 1
    if when is not None:
        assert (said.ranges[0].start_ns, said.ranges[0].end_ns) == when
    assert not any(character.isdigit() for character in said.rest)


def test_two_times_are_two_ranges_in_their_order():
    first, second = spoken_times("compare 14:00 to 14:05 with 15:00 to 15:05", NOW).ranges
    assert (first.start_ns, second.start_ns) == (local(14), local(15))


def test_what_is_no_time_is_left_alone():
    assert spoken_times("top 10 processes by memory with 3 threads", NOW).ranges == ()


def test_a_wrong_time_is_said(store):
    with pytest.raises(UsageError, match="25:00"):
        reasoner("offline", store).ask(Question(WINDOW, "why at 25:00?"))


def test_a_question_about_now_is_about_now(tmp_path):
    now = time.time_ns()
    path = stored(tmp_path / "db", [Memory(now - 5 * SECOND, mem_available_kb=1024, mem_total_kb=4096)])
    when = TimeRange(now - int(timedelta(minutes=10).total_seconds()) * SECOND, now)
    report = reasoner("offline", path).ask(Question(when, "how much memory is free in the last minute"))
    assert report.answer[0].evidence[0].value == 1024


WORDS = st.sampled_from(
    ["who", "when", "why", "how much", "most", "cpu", "memory", "changed", "web", "14:05", "25:61", "between", "and",
     "last", "minutes", "above", "5", "GB", "process", "70", "9" * 5000, "to", "since", "ago", "-", "now", "?"]
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how long it takes is the machine's business
@given(st.lists(WORDS | st.text(max_size=8), max_size=8))
def test_whatever_is_asked_is_answered_or_refused(store, words):
    with contextlib.suppress(UsageError):
        report = reasoner("offline", store).ask(Question(WINDOW, " ".join(words)))
        assert report.answer or report.limits or report.explains or not "".join(words).strip()
