"""The audit of actions as people meet it: what is proven of the record, and a new beginning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from kernelsight.agent.acting.audit import Ledger
from kernelsight.agent.acting.proof import Audit, audit
from kernelsight.moments import format_time
from kernelsight.printable import printable

EXIT_OF_AUDIT: Mapping[Literal["ok", "broken", "unknown"], int] = {"ok": 0, "broken": 1, "unknown": 3}


def audit_of(db_path: str) -> Audit:
    """Check the record of actions in a database.

    Raises:
        StoreError: it, or what is kept outside it, cannot be read.
    """
    return audit(Ledger(db_path))


def lines_of_audit(audit: Audit) -> Iterator[str]:
    """What the audit says, the answer first."""
    steps = f"{audit.proven} step{'' if audit.proven == 1 else 's'} proven"
    if audit.answer == "ok":
        yield f"OK: {steps}, none missing" if audit.proven or audit.pending else "OK: no steps are recorded"
    elif audit.answer == "broken":
        yield f"BROKEN: the record is not what was written; {steps}, {len(audit.flaws)} not"
    else:
        yield f"Not known: {steps}, {len(audit.flaws)} cannot be judged by this user"
    for flaw in audit.flaws:
        when = f"{format_time(flaw.timestamp)}  " if flaw.timestamp is not None else ""
        yield printable(f"  {flaw.what}: {when}{flaw.text}")
    if audit.before_chain:
        yield f"  {audit.before_chain} of them were sealed before there was a chain; others of that time may be missing"
    if audit.pending:
        yield f"  {audit.pending} not stored yet: the writer ended before; the next step brings them along"
    if any(flaw.what == "missing" for flaw in audit.flaws):
        yield "  if they were removed on purpose, by retention or with the database: `kernelsight agent audit restart`"


def restart_chain(db_path: str, *, yes: bool) -> str:
    """Begin a new chain, if so told; what was or would be done.

    Raises:
        StoreError: what is kept outside the database cannot be read or written.
    """
    chain = Ledger(db_path).chain
    head = chain.start_anew() if yes else chain.head()
    if head is None:
        return "this user has taken no action that is recorded there; nothing was changed"
    steps = f"steps 1 to {head.sequence} of chain {head.chain}"
    if yes:
        return f"a new chain begins with the next step; {steps} are not looked for any more"
    return f"{steps} would not be looked for any more; --yes does it"
