"""Processes that look at the store again and again, beside the daemon that fills it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol, TypeVar

import click

from kernelsight import service_manager
from kernelsight.errors import StoreError, StoreVersionError
from kernelsight.memory import give_back
from kernelsight.surfaces.cli.command import seconds

T_co = TypeVar("T_co", covariant=True)

every_option = click.option(
    "--every",
    type=float,
    callback=seconds(),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)


class Looker(AbstractContextManager[Any], Protocol[T_co]):
    """Somebody who looks at a store, and remembers what they have seen."""

    behind_ns: int
    """What there was to see at the last look and was left for the next, as it was too much at once."""

    def look(self, *, last: bool = False) -> Sequence[T_co]:
        """Take what has come since the last look, up to the very end if it is the last; give what has changed."""


def keep_looking(
    begin: Sequence[Callable[[], Looker[Any]]], every_s: float, stop: threading.Event, tell: Callable[[Any], None]
) -> None:
    """Let one or several look in turns until told to stop, and once more then.

    A store that is not there yet is waited for. What is reserved for a look and not used is given back after it.

    Raises:
        StoreError: the store cannot be read or written.
    """
    with ExitStack() as stack:
        lookers: list[Looker[Any]] = []
        for one in begin:
            looker = _when_there(one, stop)
            if looker is None:
                return
            lookers.append(stack.enter_context(looker))
        while not stop.is_set():
            _look(lookers, tell, last=False)
            give_back()
            stop.wait(0 if any(looker.behind_ns for looker in lookers) else every_s)
        _look(lookers, tell, last=True)


def _look(lookers: Sequence[Looker[Any]], tell: Callable[[Any], None], *, last: bool) -> None:
    for looker in lookers:
        for news in looker.look(last=last):
            tell(news)
        service_manager.alive()


def _when_there(begin: Callable[[], Looker[Any]], stop: threading.Event) -> Looker[Any] | None:
    while not stop.is_set():
        try:
            return begin()
        except StoreVersionError:
            raise
        except StoreError:
            stop.wait(1.0)  # not made or not migrated yet; if it cannot be, the daemon says why
    return None
