"""What collectors have printed and no daemon has accounted for is counted, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_decode import LOAD, NOW

from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import LineDecoder
from kernelsight.stores.base import Account

RUN = NOW - 10**12


def report(printed, run=RUN):
    return b'{"type":"collector","timestamp":%d,"name":"load","run":%d,"printed":"load=%d"}' % (NOW, run, printed)


def read(lines, before=None, complete_since_ns=None):
    """The account of `load` after some lines."""
    accounts = Accounts(before=before or {}, complete_since_ns=complete_since_ns)
    decoder = LineDecoder(accounts)
    decoder.feed(b"".join(line + b"\n" for line in lines))
    return accounts.of("load")


def stored(account):
    """An account as the next daemon finds it when all that was in memory is committed."""
    return Account(
        account.lines, account.in_memory, 0, account.dropped, run=account.run, lines_before_run=account.lines_before_run
    )


def test_nothing_is_missing_where_everything_came():
    account = read([report(0), LOAD, LOAD, report(2), LOAD, report(3)])
    assert (account.lines, account.dropped) == (3, 0)


def test_what_a_killed_daemon_had_read_is_counted_by_the_next():
    first = stored(read([report(0), LOAD, LOAD, report(2)]))
    account = read([LOAD, report(10), LOAD, report(11)], {"load": first})
    assert (first.lines + account.lines, account.dropped) == (11, 7)


def test_a_daemon_that_is_killed_before_the_first_report_loses_no_count_under_the_supervisor():
    since = RUN - 1
    first = stored(read([LOAD, LOAD], {"load": Account(100, 100)}, since))
    both = Account(100 + first.lines, 100 + first.stored, run=first.run, lines_before_run=first.lines_before_run)
    account = read([report(8), LOAD, report(9)], {"load": both}, since)
    assert (both.lines + account.lines, account.dropped) == (109, 6)


@pytest.mark.parametrize(
    "lines",
    [
        [report(5000), LOAD, report(5001)],  # the rest of a recording
        [report(0), LOAD, report(1), report(0), LOAD, report(1)],  # a recording twice
        [report(0), LOAD, report(1), report(0, RUN + 5), LOAD, report(1, RUN + 5)],  # a second run
        [report(1), report(1, RUN + 5), LOAD, LOAD, report(2), report(2, RUN + 5)],  # two at once
        [report(0), LOAD, LOAD, LOAD, report(1)],  # somebody else's beside it
        [b'{"type":"collector","timestamp":%d,"name":"load","printed":"load=9"}' % NOW],  # no run
        [report(0).replace(b"load=0", text) for text in (b"", b"=", b"x=1", b"load=-1", b"load=" + b"9" * 16)],
    ],
)
def test_no_loss_is_made_up(lines):
    assert read(lines).dropped == 0


def test_a_report_cannot_break_the_books():
    lines = [report(0), *[report(10**15 - 1)] * 3]
    before = {"load": Account(lines=2**60 - 5, stored=2**60 - 5)}
    assert read(lines, before).lines == 0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.data())
def test_the_sum_over_killed_daemons_is_what_was_printed(sizes, data):
    stream, printed = [], 0
    for size in sizes:
        stream += [LOAD] * size
        printed += size
        stream.append(report(printed))
    books, at = Account(), 0
    while at < len(stream):
        end = data.draw(st.integers(at + 1, len(stream)))
        committed = data.draw(st.integers(at, end)) if end < len(stream) else end
        account = read(stream[at:committed], {"load": books}, RUN)
        books = Account(
            books.lines + account.lines,
            books.stored + account.in_memory,
            0,
            books.dropped + account.dropped,
            run=account.run,
            lines_before_run=account.lines_before_run,
        )
        at = end
    assert books.lines == books.stored + books.dropped == printed
