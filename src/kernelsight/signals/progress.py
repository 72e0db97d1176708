"""How far signals and coincidences have been found: what is kept in the store with them."""

from __future__ import annotations

import msgspec

from kernelsight.query.arrivals import LaterRows, last_ids
from kernelsight.stores.base import Reader

NAME = "signals"


class SignalProgress(msgspec.Struct, frozen=True):
    """What has been looked at."""

    from_ns: int
    until_ns: int
    """Whole seconds, from the first stamp on to before the last one."""
    rules: str
    """Edition of the rules that found what is stored."""
    seen: dict[str, int]
    """Table → the greatest id that there was: a row with a greater one is new, whatever its stamp."""
    after: dict[str, int] = {}
    """Table → the last id of before the clock was set back: what came until then stays out of what is found now."""
    apart_ns: int = 0
    """Until this stamp there are rows of before it among those of now."""

    @classmethod
    def decode(cls, text: str | None) -> SignalProgress | None:
        """What a store has kept; None where it has nothing."""
        return None if text is None else msgspec.json.decode(text, type=cls)

    def rows(self, reader: Reader) -> Reader:
        """What belongs together: all rows, or those since the clock was set back."""
        return LaterRows(reader, self.after) if self.after else reader

    def encode(self) -> str:
        """As it is kept."""
        return msgspec.json.encode(self, order="deterministic").decode()


class News(msgspec.Struct, frozen=True):
    """Rows that have come."""

    first_ns: int | None
    """The earliest stamp among them; None: there are none."""
    seen: dict[str, int]


def news(reader: Reader, tables: list[str], seen: dict[str, int], since_ns: int) -> News:
    """The rows of some tables that have come since; those stamped before a moment are seen, and of no interest."""
    now_seen = {**seen, **last_ids(reader, tables)}
    first: list[int] = []
    for table in tables:
        if table not in seen:
            earliest = (reader.bounds(table) or [None])[0]
        else:
            relation, params = reader.relation(table, columns=["id", "timestamp"])
            # A condition on the stamp alone would look at every row.
            text = "SELECT min(CASE WHEN timestamp >= ? THEN timestamp END)"
            text += f" FROM {relation} AS news WHERE id > ?"
            [(stamp,)] = reader.tuples(text, (since_ns, *params, seen[table]))
            earliest = stamp if isinstance(stamp, int) else None
        if earliest is not None:
            first.append(max(earliest, since_ns))
    return News(min(first, default=None), now_seen)
