"""The shapes of foreign lines that came often: which translator a line is for, and which shapes get one.

A line is recognised by its *skeleton*, which is what is left without its digits and what hexadecimal numbers consist
of. That is a guess: a translator takes only lines of its shape. New skeletons of a known shape, as of a new name of
a process, are tried with the translators that were last of use.

A shape gets a translator when it has come often enough to pay for it. Their number, the number of skeletons, and
the time that is spent on making translators are bounded, whatever comes in.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from kernelsight.events.declare import Event, Kind
from kernelsight.ingest.leaves import NoTranslatorError
from kernelsight.ingest.times import Clocks
from kernelsight.ingest.translator import LOOK_AGAIN, Translator, translator
from kernelsight.ingest.vocabulary import TAGS, TYPE_KEYS
from kernelsight.stores.base import Row

Rows = defaultdict[type[Event], list[Row]]

MOST_SHAPES = 128
"""Translators that are kept, those last used: more than the collectors of a machine print."""

PAYS_AFTER = 16
"""Lines of a shape by the reference before it gets a translator: to make one takes as long as some twenty lines."""

_PAYS_INSTEAD = 256
"""The same where another one has to go for it: variety without end costs a tenth more, and not twice as much."""

_MOST_SKELETONS = 4096
_LONGEST_LINE = 8192
"""Bytes of a line that is recognised; a longer one is translated by the reference."""

_MOST_COUNTED = 1024
"""Shapes without a translator that are counted."""

_TRIED = 4
"""Translators that a line with a new skeleton is tried with."""

_NUMBERS = b"0123456789abcdefABCDEFxX.-+"


class Shapes:
    """What is known of the shapes of lines."""

    def __init__(self, pays_after: int = PAYS_AFTER) -> None:
        self._pays_after = pays_after
        self._by_skeleton: dict[bytes, Translator] = {}
        self._by_shape: OrderedDict[Hashable, Translator | None] = OrderedDict()
        self._counted: Counter[Hashable] = Counter()
        self._recent: list[Translator] = []

    def take(self, lines: Sequence[bytes], clocks: Clocks, rows: Rows, ignored: Counter[str]) -> int:
        """Translate lines, as far as their shapes are known; how many that were.

        Args:
            lines: the lines.
            clocks: the present.
            rows: where the rows go.
            ignored: where fields that no column stands for are counted, by kind.
        """
        by_skeleton = self._by_skeleton
        for taken, text in enumerate(lines):
            known = by_skeleton.get(text.translate(None, _NUMBERS))
            if known is not None:
                try:
                    row = known.row(text, clocks)
                except LOOK_AGAIN:
                    known = None
            if known is None:
                if (tried := self._by_trying(text, clocks)) is None:
                    return taken
                known, row = tried
            rows[known.kind.struct].append(row)
            if known.ignored:
                ignored[known.kind.name] += known.ignored
        return len(lines)

    def _by_trying(self, text: bytes, clocks: Clocks) -> tuple[Translator, Row] | None:
        """A new skeleton of a known shape, or one that two shapes share."""
        for recent in self._recent if len(text) <= _LONGEST_LINE else ():
            try:
                row = recent.row(text, clocks)
            except LOOK_AGAIN:
                continue
            self._remember(text.translate(None, _NUMBERS), recent)
            return recent, row
        return None

    def saw(self, text: bytes, line: Mapping[str, object], kind: Kind) -> None:
        """A line that the reference has translated.

        Args:
            text: the line.
            line: as it was decoded.
            kind: what it is.
        """
        if len(text) > _LONGEST_LINE:
            return
        shape = (kind.name, _shape(line))
        if shape in self._by_shape:
            self._by_shape.move_to_end(shape)
            known = self._by_shape[shape]
        elif (known := self._learnt(shape, line, kind)) is None:
            return
        if known is not None:
            self._remember(text.translate(None, _NUMBERS), known)

    def _learnt(self, shape: Hashable, line: Mapping[str, object], kind: Kind) -> Translator | None:
        if len(self._counted) >= _MOST_COUNTED:
            self._counted.clear()
        self._counted[shape] += 1
        is_full = len(self._by_shape) >= MOST_SHAPES
        if self._counted[shape] < (_PAYS_INSTEAD if is_full else self._pays_after):
            return None
        del self._counted[shape]
        if is_full:
            _, gone = self._by_shape.popitem(last=False)
            self._forget(gone)
        try:
            made = translator(line, kind)
        except NoTranslatorError:
            self._by_shape[shape] = None
            return None
        self._by_shape[shape] = made
        return made

    def _remember(self, skeleton: bytes, known: Translator) -> None:
        if len(self._by_skeleton) >= _MOST_SKELETONS:
            self._by_skeleton.clear()
        self._by_skeleton[skeleton] = known
        self._recent = [known, *(recent for recent in self._recent if recent is not known)][:_TRIED]

    def _forget(self, gone: Translator | None) -> None:
        self._recent = [recent for recent in self._recent if recent is not gone]
        self._by_skeleton = {skeleton: known for skeleton, known in self._by_skeleton.items() if known is not gone}


def _shape(line: Mapping[str, object]) -> Hashable:
    """The keys of a line, nested as they are, with the types of their values, and the words that name its kind."""
    words = TYPE_KEYS if TAGS.isdisjoint(line) else (*TYPE_KEYS, "name")
    return tuple((key, _of_value(value, is_word=key in words)) for key, value in line.items())


def _of_value(value: object, *, is_word: bool) -> Hashable:
    if isinstance(value, dict):
        return _shape(value)
    return (value if is_word and isinstance(value, str) else None, type(value).__name__)
