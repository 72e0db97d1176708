"""Which kind of event a foreign line is: the fields decide, the word in ``type`` helps.

1. A kind that ``type`` can mean, if the fields satisfy its ``recognised_by``, or if it knows all fields.
2. Otherwise any kind whose ``recognised_by`` they satisfy: a word that the fields contradict is wrong.
3. Otherwise, of the kinds that ``type`` can mean, the one that knows most of the fields;
   our own name for a kind before a name that others share.

Where several are left the largest satisfied set counts, then the number of fields known. What is still
undecided is refused.
"""

from __future__ import annotations

from functools import lru_cache

from kernelsight.events import wire
from kernelsight.events.declare import Kind
from kernelsight.ingest.vocabulary import all_names, kinds_called, vocabulary

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
    plain = _plain(word)
    known = names & all_names()
    verdict = _verdict(plain if plain in kinds_called() else None, known, len(names) - len(known))
    if isinstance(verdict, str):
        raise UnidentifiedError(verdict)
    return verdict


def kinds_said(word: str | None) -> tuple[Kind, ...]:
    """The kinds that a value of ``type`` can mean; none where it is no word for any."""
    return kinds_called().get(_plain(word) or "", ())


def _plain(word: str | None) -> str | None:
    return None if word is None else word.strip().lower().replace("-", "_")


# Collectors print few different sets of fields; an attacker's many, or long ones, do not grow the memory.
@lru_cache(maxsize=512)
def _verdict(word: str | None, names: frozenset[str], unknown: int) -> Kind | str:
    called = kinds_called().get(word, ()) if word is not None else ()
    fitting = [kind for kind in called if _fit(kind, names)[0] or (not unknown and _knows_all(kind, names))]
    fitting = fitting or [kind for kind in wire.kinds().values() if _fit(kind, names)[0]]
    fitting = fitting or [kind for kind in called if _fit(kind, names)[1]]
    if not fitting:
        return "unknown kind: the line has no field of the kind that `type` names" if called else "unknown kind"
    first, *others = sorted(fitting, key=lambda kind: _fit(kind, names), reverse=True)
    rivals = [first, *(kind for kind in others if _fit(kind, names) == _fit(first, names))]
    # Labels alone leave it open (`pid` and `comm` of a `sched`); then our own word means our own kind.
    named = [kind for kind in rivals if kind.name == word]
    if len(rivals) > 1 and not named:
        return "ambiguous kind: " + " or ".join(kind.name for kind in rivals)
    return named[0] if named else first


def _knows_all(kind: Kind, names: frozenset[str]) -> bool:
    return bool(names) and _fit(kind, names)[1] == len(names)


def _fit(kind: Kind, names: frozenset[str]) -> tuple[int, int]:
    """Size of the largest satisfied set of ``recognised_by``, and how many fields the kind knows."""
    words = vocabulary(kind)
    known = [name for name in names if name in words]
    columns = {meaning.column.name for name in known for meaning in words[name]}
    sizes = [len(group) for group in kind.recognised_by if group <= columns]
    return max(sizes, default=0), len(known)
