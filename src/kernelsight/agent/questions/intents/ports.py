"""Who listens on a port."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Step
from kernelsight.events.declare import kind_of
from kernelsight.events.tcp import TcpListener
from kernelsight.query.presence import why_no_rows

_PORT = re.compile(r"\bport (\d{1,5})\b")
_MOST = 10


@intent(
    r"\bport \d|\b(?:who|what|which \w+|which) (?:be )?listen|\bopen ports?\b|\blistening ports?\b",
    order=33,
    examples=("who is listening on port 80?",),
)
def listeners(question: ParsedQuestion) -> Iterable[Step]:
    """The TCP listeners of that time, of one port or of all."""
    rows = question.rows(TcpListener)
    if not rows:
        question.limits.append(why_no_rows(question.reader, kind_of(TcpListener).table, question.when))
        return
    port = _PORT.search(question.plain)
    names = {name.value for name in question.names_of("process")}
    last: dict[object, TcpListener] = {(row.address, row.port): row for row in rows}
    matching = [
        row for row in last.values() if (not port or row.port == int(port[1])) and (not names or row.comm in names)
    ]
    if not matching:
        seen = shown_by([*last.values()][:500], TcpListener.port, "count")
        where = f" on port {port[1]}" if port else ""
        yield Step(
            f"{'No: ' if question.is_yes_no else ''}nobody listened on TCP{where}, among {len(last)} listeners", (seen,)
        )
        return
    for place, row in enumerate(matching[:_MOST]):
        who = f"{row.comm} ({row.pid})" if row.comm else "a process that is not known"
        head = "Yes: " if question.is_yes_no and place == 0 else ""
        shown = shown_by([row], TcpListener.port, "last")
        yield Step(f"{head}{who} listens on {row.address} port {row.port}", (shown,))
