"""Which kind of event a foreign line is: the fields decide, the word in ``type`` helps.

1. Of the kinds that ``type`` can mean, one whose ``recognised_by`` the fields satisfy.
2. Otherwise any kind whose ``recognised_by`` they satisfy: a word that the fields contradict is wrong.
3. Otherwise, of the kinds that ``type`` can mean, the one that knows most of the fields;
   our own name for a kind before a name that others share.

Where several are left the largest satisfied set counts, then the number of fields known. What is still
undecided is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from kernelsight.events import wire
from kernelsight.events.declare import Kind
from kernelsight.ingest.vocabulary import kinds_called, vocabulary

UNKNOWN = "unknown"


class UnidentifiedError(ValueError):
    """No kind, or more than one, is meant; the message is the reason."""


def identify(word: str | None, names: frozenset[str]) -> Kind:
    """The kind that a line is.

    Args:
        word: what the line says it is, where it says something.
        names: its fields, flattened.

    Raises:
        UnidentifiedError: the fields fit no kind, or several equally well.
    """
    verdict = _verdict(None if word is None else word.strip().lower().replace("-", "_"), names)
    if isinstance(verdict, str):
        raise UnidentifiedError(verdict)
    return verdict


# Collectors print few different sets of fields; an attacker's many do not grow the memory.
@lru_cache(maxsize=512)
def _verdict(word: str | None, names: frozenset[str]) -> Kind | str:
    called = kinds_called().get(word, ()) if word is not None else ()
    for candidates in (called, wire.kinds().values()):
        fits = {kind.name: _fit(kind, names) for kind in candidates}
        recognised = [kind for kind in candidates if fits[kind.name][0]]
        if recognised:
            return _best(recognised, names)
    knowing = [kind for kind in called if _fit(kind, names)[1]]
    if not knowing:
        return "unknown kind: no field of what `type` says" if called else "unknown kind"
    best = _best(knowing, names)
    # Labels alone leave it open (`pid` and `comm` of a `sched`); then our own word means our own kind.
    return knowing[0] if isinstance(best, str) and knowing[0].name == word else best


def _best(candidates: Iterable[Kind], names: frozenset[str]) -> Kind | str:
    ranked = sorted(candidates, key=lambda kind: _fit(kind, names), reverse=True)
    if len(ranked) > 1 and _fit(ranked[0], names) == _fit(ranked[1], names):
        return "ambiguous kind: " + " or ".join(kind.name for kind in ranked[:2])
    return ranked[0]


def _fit(kind: Kind, names: frozenset[str]) -> tuple[int, int]:
    """Size of the largest satisfied set of ``recognised_by``, and how many fields the kind knows."""
    words = vocabulary(kind)
    known = [name for name in names if name in words]
    columns = {meaning.column.name for name in known for meaning in words[name]}
    sizes = [len(group) for group in kind.recognised_by if group <= columns]
    return max(sizes, default=0), len(known)
