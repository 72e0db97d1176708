"""What a page is: a template and what is put into it, declared as data.

One module a page in :mod:`kernelsight.surfaces.web.pages`; a new page is a module there and a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.query.times import TimeRange
from kernelsight.registry import Registry
from kernelsight.surfaces.web.chart import Chart, charts_of
from kernelsight.surfaces.web.desk import Desk


@dataclass(frozen=True, slots=True)
class Visit:
    """What somebody wants to see."""

    desk: Desk
    when: TimeRange
    parameters: Mapping[str, str]
    """Of the path and of the query; nobody has checked them."""


def _nothing(_: Visit) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Page:
    """A page."""

    name: str
    title: str
    path: str
    template: str = "charts.html"
    context: Callable[[Visit], Mapping[str, Any]] = _nothing
    """What the template needs besides; may take long and runs in a thread."""
    rank: int = 0
    """Place in the menu; below zero it is not in it."""

    @property
    def needs_context(self) -> bool:
        """Whether its template can show nothing without what :attr:`context` gives."""
        return self.context is not _nothing

    @property
    def charts(self) -> Sequence[Chart[Any]]:
        """The charts that stand on it."""
        return charts_of(self.name)


_PAGES: Registry[str, Page] = Registry(
    "page", "kernelsight.surfaces.web.pages", order=lambda item: (item[1].rank, item[0])
)


def page(declared: Page) -> None:
    """Declare a page."""
    _PAGES.add(declared.name, declared)


def pages() -> Mapping[str, Page]:
    """All pages by name, in the order of the menu."""
    return _PAGES.all()
