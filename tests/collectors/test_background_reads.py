"""Readings that take long keep nobody waiting."""

from __future__ import annotations

import threading
from contextlib import closing

from kernelsight.collectors import background_reads
from kernelsight.collectors.background_reads import BackgroundReads

SOON_S = 0.02
LATE_S = 30


def test_an_answer_that_takes_long_is_handed_out_when_it_is_there():
    go = threading.Event()

    def read(question: int) -> int:
        assert go.wait(LATE_S)
        return 2 * question

    with closing(BackgroundReads(read)) as aside:
        assert aside.answer(SOON_S) is None, "nothing was asked"
        aside.ask(21)
        assert aside.answer(SOON_S) is None
        assert aside.is_busy
        go.set()
        done = aside.answer(LATE_S)
        assert done is not None
        assert (done.question, done.answer, done.error) == (21, 42, None)
        assert not aside.is_busy


def test_a_reading_that_does_not_end_is_said(monkeypatch):
    monkeypatch.setattr(background_reads, "_STUCK_S", SOON_S)
    go = threading.Event()
    with closing(BackgroundReads(lambda _: go.wait(LATE_S))) as aside:
        assert aside.limitations("locks") == []
        aside.ask(1)
        assert aside.answer(2 * SOON_S) is None
        (sentence,) = aside.limitations("locks")
        assert sentence.startswith("locks: not known now")
        go.set()
        assert aside.answer(LATE_S) is not None
        assert aside.limitations("locks") == []


def test_what_goes_wrong_is_handed_to_who_waits_and_the_next_question_is_answered():
    def read(path: str) -> str:
        if not path:
            raise OverflowError
        return path

    with closing(BackgroundReads(read)) as aside:
        aside.ask("")
        failed = aside.answer(LATE_S)
        assert failed is not None
        assert isinstance(failed.error, OverflowError)
        aside.ask("x")
        done = aside.answer(LATE_S)
        assert done is not None
        assert done.answer == "x"
