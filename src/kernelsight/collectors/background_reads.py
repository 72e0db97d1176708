"""Readings that may take long, or for ever: a thread makes them, and nobody else is kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_STUCK_S = 10.0


@dataclass(frozen=True, slots=True)
class Done(Generic[Question, Answer]):
    """A reading that came to its end."""

    question: Question
    answer: Answer | None
    """None where it failed."""
    error: Exception | None
    seconds: float
    """How long it took."""


class BackgroundReads(Generic[Question, Answer]):
    """One reading at a time, by a thread that is started with the first one and never waited for.

    Args:
        read: answers a question; what it raises is handed to who waits for the answer.
    """

    def __init__(self, read: Callable[[Question], Answer]) -> None:
        self._read = read
        self._asked: SimpleQueue[tuple[Question] | None] = SimpleQueue()
        """What to read; None: no more."""
        self._done: SimpleQueue[Done[Question, Answer]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_busy = False
        """Whether a reading is under way, or its answer was not taken yet."""
        self._asked_at = 0.0

    def ask(self, question: Question) -> None:
        """Begin a reading; not while another one is under way."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read_on, daemon=True)
            self._thread.start()
        self.is_busy = True
        self._asked_at = time.monotonic()
        self._asked.put((question,))

    def limitations(self, what: str) -> list[str]:
        """What is not known while a reading does not end, as a sentence.

        Args:
            what: what it reads.
        """
        if not self.is_busy or time.monotonic() - self._asked_at < _STUCK_S:
            return []
        return [f"{what}: not known now; a read of another process has taken more than {_STUCK_S:.0f} s"]

    def answer(self, patience_s: float) -> Done[Question, Answer] | None:
        """The reading that is under way, if it ends in time; None too where there is none."""
        if not self.is_busy:
            return None
        try:
            done = self._done.get(timeout=patience_s)
        except Empty:
            return None
        self.is_busy = False
        return done

    def close(self) -> None:
        """Ask for no more; a reading that is under way is left to itself."""
        self._asked.put(None)

    def _read_on(self) -> None:
        while (asked := self._asked.get()) is not None:
            (question,) = asked
            began = time.monotonic()
            answer, error = None, None
            try:
                answer = self._read(question)
            except Exception as refused:  # noqa: BLE001 - who asked for it gets it, and the thread lives on
                error = refused
            self._done.put(Done(question, answer, error, time.monotonic() - began))
