"""Pages as HTML: templates with automatic escaping; whatever a name contains stays text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

import kernelsight
from kernelsight.diagnosis.page import FILTERS, TEMPLATES
from kernelsight.moments import to_next_second, to_second
from kernelsight.printable import printable
from kernelsight.quantities import quantity
from kernelsight.query.times import TimeRange
from kernelsight.surfaces.web.page import Page, pages


@cache
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("kernelsight.surfaces.web"), PackageLoader(*TEMPLATES)]),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.filters.update(to_second=to_second, to_next_second=to_next_second, quantity=quantity, printable=printable)
    made.globals.update(version=kernelsight.__version__)
    return made


class Shown(NamedTuple):
    """How a page is shown, whatever stands on it."""

    when: TimeRange
    live: bool
    here: str
    """Its own address, within these pages."""
    word: str = ""
    """What forms of who is signed in carry; empty for who is not."""


def rendered(page: Page, shown: Shown, context: Mapping[str, Any]) -> str:
    """A page as text."""
    menu = [one for one in pages().values() if one.rank >= 0]
    known = {"page": page, "menu": menu, **shown._asdict(), "problem": "", **context}
    template = "problem.html" if known["problem"] and page.needs_context else page.template
    return environment().get_template(template).render(known)
