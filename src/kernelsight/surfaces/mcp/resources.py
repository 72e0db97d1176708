"""What an assistant may read without asking a question: the data dictionary, and what the agent recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from kernelsight.errors import UsageError
from kernelsight.events.wire import kinds
from kernelsight.printable import printable
from kernelsight.surfaces.docs import data_dictionary
from kernelsight.surfaces.trace import events, lines

SCHEME = "kernelsight://"
_RECORD = f"{SCHEME}records/"
TEMPLATE = f"{_RECORD}{{id}}"


@dataclass(frozen=True, slots=True)
class Page:
    """Something to read."""

    uri: str
    title: str
    mime_type: str
    text: Callable[[str], str]
    """From the store that is asked about."""


def _dictionary(db_path: str) -> str:
    del db_path
    return data_dictionary(kinds().values())


def _recent(db_path: str) -> str:
    return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in events(db_path, "24h"))


_PAGES = (
    Page(
        f"{SCHEME}data-dictionary",
        "Every table and column, with unit, meaning and source",
        "text/markdown",
        _dictionary,
    ),
    Page(
        f"{SCHEME}diagnoses/recent",
        "Diagnoses, forecasts and actions of the last 24 hours, one JSON object a line",
        "application/x-ndjson",
        _recent,
    ),
)


def pages() -> Mapping[str, Page]:
    """All of them by URI."""
    return {page.uri: page for page in _PAGES}


def read(db_path: str, uri: str) -> tuple[str, str]:
    """What stands under a URI: its type and its text.

    Raises:
        UsageError: there is nothing.
        StoreError: the store cannot be read.
    """
    if page := pages().get(uri):
        return page.mime_type, page.text(db_path)
    if uri.startswith(_RECORD):
        told = [printable(line) for line in lines(db_path, uri.removeprefix(_RECORD))]
        if told:
            return "text/plain", "\n".join(told)
    raise UsageError(f"there is nothing under {uri!r}; there are {', '.join((*pages(), TEMPLATE))}")
