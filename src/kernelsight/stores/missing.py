"""Who is told what is missing from answers, because a part of a store is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kernelsight.stores.base import Reader

_TELL: ContextVar[Callable[[str], None] | None] = ContextVar("_TELL", default=None)


@contextmanager
def telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Have said what is missing from answers that are read within this block, each sentence once."""
    said: set[str] = set()

    def tell_once(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            tell(sentence)

    before = _TELL.set(tell_once)
    try:
        yield
    finally:
        _TELL.reset(before)


def tell_missing(reader: Reader) -> None:
    """Say what is missing from what a reader has read, where somebody wants to be told."""
    tell = _TELL.get()
    if tell is not None:
        for damage in reader.damages():
            tell(str(damage))
