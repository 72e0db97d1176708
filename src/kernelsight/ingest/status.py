"""How ingestion fares: for a person on the log, for a supervisor as JSON."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from kernelsight.ingest.accounts import Accounts
from kernelsight.stores.base import Account


@dataclass(slots=True)
class Commits:
    """What was committed, how often, and how long that took."""

    count: int = 0
    rows: int = 0
    failures: int = 0
    longest_s: float = 0.0
    total_s: float = 0.0
    last_error: str | None = None

    def done(self, rows: int, seconds: float) -> None:
        """One more commit."""
        self.count += 1
        self.rows += rows
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.last_error = None


@dataclass(slots=True)
class Rate:
    """Events a second since the last time somebody asked."""

    _at: float = field(default_factory=time.monotonic)
    _count: int = 0

    def since_last(self, count: int) -> float:
        """The rate at which a total has grown."""
        now = time.monotonic()
        elapsed = max(now - self._at, 1e-9)
        rate = (count - self._count) / elapsed
        self._at, self._count = now, count
        return rate


def describe(accounts: Accounts, commits: Commits, elapsed_s: float, waiting_lines: int, *, verbose: bool) -> str:
    """The status as text: one line per kind, one for all, and what else there is to know."""
    total = accounts.total()
    rows = sorted((kind, account) for kind, account in accounts.by_kind.items() if account.lines)
    lines = [_line(kind, account) for kind, account in rows] + [_line("all", total)]
    rate = total.lines / elapsed_s if elapsed_s > 0 else 0.0
    lines.append(
        f"{rate:,.0f} events/s over {elapsed_s:,.1f} s; {commits.count:,} commits, the longest"
        f" {commits.longest_s * 1e3:.1f} ms; {accounts.bytes_read:,} bytes; lines besides: {accounts.blank:,} blank,"
        f" {accounts.joined:,} joined, {accounts.shared:,} shared, {waiting_lines:,} unfinished"
    )
    if accounts.reasons:
        lines.append("refused: " + ", ".join(f"{n:,} x {reason}" for reason, n in accounts.reasons.most_common(8)))
    if accounts.arrivals:
        lines.append(f"{accounts.arrivals:,} stamps of another boot or machine: stored with their time of arrival")
    if accounts.gone:
        lines.append(f"lost with a database that is gone or damaged, among the dropped: {accounts.gone:,} rows")
    if accounts.never_came:
        lost = ", ".join(f"{count:,} {kind}" for kind, count in accounts.never_came.most_common(8))
        lines.append(f"lost with a daemon that was killed, among the dropped: {lost}")
    if commits.last_error:
        lines.append(f"the store cannot be written, {commits.failures:,} attempts: {commits.last_error}")
    if accounts.below_zero:
        counts = ", ".join(f"{n:,} in {kind}" for kind, n in accounts.below_zero.most_common())
        lines.append(f"counts that fell below zero, stored as NULL: {counts}")
    if verbose and accounts.ignored_fields:
        ignored = accounts.ignored_fields.most_common()
        lines.append("fields that no column stands for: " + ", ".join(f"{n:,} in {kind}" for kind, n in ignored))
    return "\n".join(lines)


def _line(kind: str, account: Account) -> str:
    return (
        f"{kind}: {account.lines:,} lines = {account.stored:,} stored + {account.rejected:,} rejected"
        f" + {account.dropped:,} dropped + {account.in_memory:,} in memory"
    )


def write_status(path: Path, status: dict[str, object]) -> None:
    """Replace the status file whole, so that a reader never sees half of it; what others lay there is not written to.

    Raises:
        OSError: it cannot be written.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        new = f"{path.name}.{secrets.token_hex(8)}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=directory)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(status))
        os.replace(new, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def as_json(  # noqa: PLR0913 - each is a part of the status
    accounts: Accounts,
    commits: Commits,
    *,
    started_ns: int,
    events_per_s: float,
    rows_per_s: float,
    db_bytes: int,
    last_refusals: list[str],
    waiting_lines: int,
    done: bool,
) -> dict[str, object]:
    """The status for a program; ``docs/ingestion.md`` lists the keys."""
    return {
        "pid": os.getpid(),
        "started_ns": started_ns,
        "updated_ns": time.time_ns(),
        "done": done,
        "total": asdict(accounts.total()),
        "kinds": {kind: asdict(account) for kind, account in sorted(accounts.by_kind.items()) if account.lines},
        "events_per_s": round(events_per_s, 1),
        "rows_per_s": round(rows_per_s, 1),
        "db_bytes": db_bytes,
        "bytes_read": accounts.bytes_read,
        "blank": accounts.blank,
        "joined": accounts.joined,
        "shared": accounts.shared,
        "unfinished": waiting_lines,
        "arrivals": accounts.arrivals,
        "reasons": dict(accounts.reasons),
        "ignored_fields": dict(accounts.ignored_fields),
        "below_zero": dict(accounts.below_zero),
        "last_refusals": last_refusals,
        "commits": asdict(commits),
    }
