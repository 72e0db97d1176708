"""What a collector could not read: bounded to the field, the line or the entity, counted, and named once.

The runner opens a ledger around each run of a collector (:func:`noted_in`); whoever reads or parses
notes there what it left out (:func:`note`). What is outside of a ledger is noted for nobody.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, Token
from typing import TypeVar

from kernelsight.errors import SourceUnavailableError
from kernelsight.printable import printable

_SHOWN = 60
_MOST_PLACES = 5
"""Files that are named in a report; what is wrong with others is counted."""

UNREADABLE = (ValueError, IndexError, KeyError, struct.error)
"""What a parser raises where the text is not what it should be."""

T = TypeVar("T")
S = TypeVar("S")


class Damage:
    """How often something was left out since the collector started, of which files, and the first of each."""

    __slots__ = ("_first", "_times", "count", "place")

    def __init__(self) -> None:
        self.count = 0
        """Fields, lines and entities that were left out."""
        self.place = ""
        """The file that is being parsed."""
        self._times: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def note(self, problem: str, text: bytes, place: str | None = None) -> None:
        """Count what was left out.

        Args:
            problem: why.
            text: what it said.
            place: the file; None: the one that is being parsed.
        """
        self.count += 1
        place = self.place if place is None else place
        if place in self._times or len(self._times) < _MOST_PLACES:
            self._times[place] = self._times.get(place, 0) + 1
            self._first.setdefault(place, printable(f"{_shown(text)} ({problem})"))

    @property
    def sentences(self) -> list[str]:
        """What was left out, a sentence for each file: bounded, and safe to print."""
        said = [
            f"not understood in {place}, {times} times since the start, first: {self._first[place]}"
            for place, times in self._times.items()
        ]
        others = self.count - sum(self._times.values())
        return [*said, f"not understood in other files: {others} times"] if others else said


def _shown(text: bytes) -> str:
    """Text of the kernel or of a process as ASCII that commands no terminal."""
    return repr(text[:_SHOWN])[1:] + ("..." if len(text) > _SHOWN else "")


_LEDGER: ContextVar[Damage] = ContextVar("damage", default=Damage())  # noqa: B039 - for nobody: nothing reads it


def ledger() -> Damage:
    """The ledger of the collector that runs."""
    return _LEDGER.get()


def note(problem: str, text: bytes, place: str | None = None) -> None:
    """Note in the ledger of the collector that runs what was left out; as :meth:`Damage.note`."""
    _LEDGER.get().note(problem, text, place)


# As classes: these are entered for every file of every collector, and a generator costs thrice as much.


class noted_in:  # noqa: N801 - a context manager, used like a function
    """Note in this ledger what is left out meanwhile.

    Args:
        damage: the ledger.
    """

    __slots__ = ("_damage", "_token")

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._token: Token[Damage] | None = None

    def __enter__(self) -> Damage:
        """Open the ledger."""
        self._token = _LEDGER.set(self._damage)
        return self._damage

    def __exit__(self, *_: object) -> None:
        """Go on with the ledger before."""
        if self._token is not None:
            _LEDGER.reset(self._token)


class parsing:  # noqa: N801 - as above
    """Parse one file: what is noted is of it, and what cannot be read at all is refused.

    Args:
        source: the file.
        text: what it says.

    Raises:
        SourceUnavailableError: instead of the ValueError, IndexError, KeyError or struct.error of the parser.
    """

    __slots__ = ("_damage", "_outer", "_source", "_text")

    def __init__(self, source: str, text: bytes) -> None:
        self._source = source
        self._text = text
        self._damage = _LEDGER.get()
        self._outer = ""

    def __enter__(self) -> None:
        """Begin with the file."""
        damage = self._damage
        self._outer, damage.place = damage.place, self._source

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Go on with the file before."""
        self._damage.place = self._outer
        if isinstance(error, UNREADABLE):
            said = f"{self._source} says {self._text[:_SHOWN]!r}, which cannot be read: {error}"
            raise SourceUnavailableError(said) from error


def rows(parse: Callable[[S], T], parts: Iterable[S], shown: Callable[[S], bytes] = bytes) -> Iterator[T]:  # type: ignore[assignment]
    """Parse each part by itself; one that cannot be read is noted and left out.

    Args:
        parse: makes a row of a part, or raises one of :data:`UNREADABLE`.
        parts: lines.
        shown: the text of a part, for the note.
    """
    for part in parts:
        try:
            row = parse(part)
        except UNREADABLE as error:
            note(_reason(error), shown(part))
        else:
            yield row


class bounded:  # noqa: N801 - a context manager, used like a function
    """Bound to one entity what goes wrong with it: it is noted and left out, and the others go on.

    Args:
        place: the file of the entity.
        text: what it says.
    """

    __slots__ = ("_place", "_text")

    def __init__(self, place: str, text: bytes = b"") -> None:
        self._place = place
        self._text = text

    def __enter__(self) -> None:
        """Begin with the entity."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Note what went wrong, if it is of the entity alone."""
        if not isinstance(error, (SourceUnavailableError, OSError, *UNREADABLE)):
            return False
        note(_reason(error), self._text, self._place)
        return True


def _reason(error: BaseException) -> str:
    """Why something was left out, short."""
    said = str(error).encode("ascii", "backslashreplace").decode()[:160]
    return said or type(error).__name__
