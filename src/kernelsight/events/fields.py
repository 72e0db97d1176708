"""A column, named by its declaration: ``Process.rss_kb``, read on the class and not on a row.

Code names a column like this and not in quotes, so that mypy knows it::

    delta.of(Process.utime_ms)    # right: a number of the same kind
    delta.of(Process.utime)       # error: no such column
    delta.of(Process.comm)        # error: not a number
    delta.of(Cgroup.cpu_periods)  # error: a column of another kind

At run time, it is the descriptor that msgspec puts into the class for each field. For mypy, ``tools/mypy_fields.py``
makes it a :class:`Field`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

from kernelsight.events.declare import Event, Kind

E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
V_co = TypeVar("V_co", covariant=True)
E = TypeVar("E", bound=Event)
V = TypeVar("V")


class Field(Generic[E_contra, V_co]):
    """A column of the events ``E_contra`` with values of type ``V_co``. For annotations only: it has no instances."""

    __name__: str
    __objclass__: type[Any]
    """The event that declares it."""


Metric = Field[E, float | None]
"""A column of numbers."""


def name_of(field: Field[Any, Any]) -> str:
    """The name of a column."""
    return field.__name__


def field_named(kind: Kind, name: str) -> Field[Any, Any]:
    """A column that somebody names while the program runs: a person, a stored row, the declaration of its kind.

    Raises:
        AttributeError: the kind has no such column.
    """
    field: Field[Any, Any] = getattr(kind.struct, name)
    return field


def entity_of(kind: Kind) -> tuple[Field[Any, Any], ...]:
    """The columns that tell one series of a kind from another."""
    return tuple(field_named(kind, name) for name in kind.entity)


def getter(field: Field[E, V]) -> Callable[[E], V]:
    """A function that takes the column's value out of a row, in C."""
    return attrgetter(name_of(field))


def row_getter(*fields: Field[E, Any]) -> Callable[[E], tuple[Any, ...]]:
    """A function that takes the values of several columns out of a row, in C; a tuple, also of one."""
    names = [field.__name__ for field in fields]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda row: tuple(getattr(row, name) for name in names)
