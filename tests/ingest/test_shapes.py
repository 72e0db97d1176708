"""Lines of shapes that came often become the same rows, refusals and accounts as by the reference, only sooner."""

import json
import re
from dataclasses import asdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_any_bytes import NUMBERS, TEXTS, lines

from kernelsight.events.memory import PageFault
from kernelsight.events.network import Network
from kernelsight.events.syscalls import Syscall
from kernelsight.ingest import shapes as shapes_module
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import LineDecoder
from kernelsight.ingest.shapes import MOST_SHAPES, PAYS_AFTER, Shapes
from kernelsight.ingest.times import Clocks

NOW = 1_795_000_123_456_789_012
CLOCKS = Clocks(now=NOW, boot=9_000_000_000_000, monotonic=8_999_000_000_000)
PRESENTS = (CLOCKS, Clocks(NOW, 1_795_100_000_000, 1_794_900_000_000), Clocks(10**15, 10**12, 10**12))
"""The second: half an hour after boot, when nanoseconds look like milliseconds; the third: of a clock never set."""
NEVER = 1 << 60
TOKEN = re.compile(r'(?<=:)\s*(-?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?|"[^"\\]{0,40}")(?=[,}])')


class Watched(Shapes):
    """Counts the lines that a translator took."""

    taken = 0

    def take(self, *args):
        taken = super().take(*args)
        self.taken += taken
        return taken


def decoded(text, shapes, clocks=CLOCKS):
    """Rows by kind, refusals with their reasons, and the books, but for the moment of a refusal."""
    accounts = Accounts()
    decoder = LineDecoder(accounts, lambda: clocks, shapes)
    rows, rejected = {}, []
    for part in (decoder.feed(text), decoder.finish()):
        for kind, more in part.events.items():
            rows.setdefault(kind, []).extend(more)
        rejected += [(refusal.kind, refusal.reason, refusal.raw, refusal.size) for refusal in part.rejected]
    return rows, rejected, asdict(accounts)


def both_ways(text, clocks=CLOCKS):
    """What both ways say, and how many lines the translators took."""
    shapes = Watched(pays_after=1)
    by_shapes, by_reference = decoded(text, shapes, clocks), decoded(text, Shapes(pays_after=NEVER), clocks)
    assert by_shapes == by_reference
    return by_reference, shapes.taken


@st.composite
def streams(draw):
    """A few shapes, each of them several times with other values."""
    templates = [text for text in draw(st.lists(lines(), min_size=1, max_size=3)) if "\n" not in text]
    stream = []
    for _ in range(draw(st.integers(2, 5))):
        for template in templates:
            numbers = st.sampled_from(NUMBERS) | st.integers(0, 1 << 34).map(str) | st.floats(0, 1e6).map(repr)
            texts = st.sampled_from(TEXTS) | st.sampled_from(("read", "0x7fe5", "sda", "7")).map(json.dumps)

            def other(match, numbers=numbers, texts=texts):
                if not draw(st.booleans()):
                    return match[0]
                return draw(texts if match[1].startswith('"') else numbers)

            stream += [template, TOKEN.sub(other, template)]
    return "\n".join(stream).encode("utf-8", "surrogatepass") + b"\n"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    streams(),
    st.sampled_from((CLOCKS, Clocks(NOW, 1_795_100_000_000, 1_794_900_000_000), Clocks(10**15, 10**12, 10**12))),
)
def test_a_translator_says_what_the_reference_says(text, clocks):
    both_ways(text, clocks)


def a_fault(n):
    return {
        "timestamp": 8_998_000_000_000 + n, "pid": n, "comm": f"a{n}", "address": hex(0x7F00DEADBEE0 + n),
        "latency_us": 1.5 + n, "is_major": n % 2 == 0, "is_write": n % 3 == 0, "is_instruction": False,
        "type": "pagefault",
    }  # fmt: skip


def nested_data(n):
    return {"timestamp": NOW - n, "type": "meminfo", "data": {"MemTotal": 10**7, "MemFree": 10**6 + n}}


def milliseconds(n):
    return {"ts": (NOW - n) / 1e9, "pid": n, "syscall": "read" if n % 2 else "openat", "latency_ms": n * 1.001}


def reads_and_writes(n):
    device = f"sd{chr(97 + n % 5)}"
    return {"timestamp": NOW // 10**6 - n, "device": device, "read": {"count": n, "p50_us": n}, "write": {"count": 1}}


def a_date(n):
    stamp = f"2026-11-18T10:00:{n:02d}.{n:03d}Z"
    return {"timestamp": stamp, "interface": "eth0", "rx_bytes": 10**12 + n, "tx_bytes": 0, "rx_packets": n}


def tags_and_fields(n):
    return {
        "name": "docker_container_net", "timestamp": NOW - n,
        "tags": {"container_name": f"c{n % 3}", "network": "eth0", "host": "h"},
        "fields": {"rx_bytes": n, "tx_bytes": 0, "rx_packets": n, "tx_packets": 1},
    }  # fmt: skip


def forty(line):
    return "".join(json.dumps(line(n)) + "\n" for n in range(40)).encode()


USUAL = (a_fault, nested_data, milliseconds, reads_and_writes, a_date, tags_and_fields)


@pytest.mark.parametrize("line", USUAL)
def test_usual_lines_are_taken_by_their_translator(line):
    (rows, rejected, _), taken = both_ways(forty(line))
    assert not rejected
    assert sum(map(len, rows.values())) == 40
    assert taken >= 37


def test_two_containers_stay_two():
    (rows, _, _), _ = both_ways(forty(tags_and_fields))
    names = {row[Network.__struct_fields__.index("interface_name")] for row in rows[Network]}
    assert names == {f"eth0 (container c{n})" for n in range(3)}


def test_own_lines_between_others_keep_their_order():
    own = f'{{"type":"syscall","timestamp":{NOW},"pid":1}}\n'.encode()
    other = f'{{"ts":{NOW},"pid":2,"syscall":"read","latency_us":1.5}}\n'.encode()
    (rows, _, _), taken = both_ways((own + other) * 30)
    pids = [row[Syscall.__struct_fields__.index("pid")] for row in rows[Syscall]]
    assert pids == [1, 2] * 30
    assert taken >= 28


def test_a_number_that_a_float_hides_is_looked_at():
    line = '{{"ts":{0},"pid":2,"syscall":"read","latency_ms":{1},"x":{1}}}\n'
    for odd in ("1e-4000", "0." + "0" * 500 + "1", "1e400", "0.0000005", "1.0000005", "123456789.1234565"):
        both_ways("".join(line.format(NOW, value) for value in ("1.5", "2.5", odd, odd, "3.5")).encode())


def test_values_that_fell_below_zero_are_counted_as_before():
    line = '{{"type":"pagefault","ts":{0},"pid":{1},"latency_us":{2},"is_major":true}}\n'
    values = (1, 2, 3, 2**32 - 1, 2**64 - 1, 4)
    text = "".join(line.format(NOW, pid, value) for pid, value in enumerate(values)).encode()
    (rows, _, _), _ = both_ways(text)
    assert len(rows[PageFault]) >= 5


def test_variety_without_end_costs_little_memory_and_few_translators(monkeypatch):
    made = []
    monkeypatch.setattr(shapes_module, "translator", lambda *args: made.append(args) or _unusable())
    shapes = Shapes()
    text = "".join(
        f'{{"ts":{NOW},"type":"syscall","pid":1,"k{n}":1}}\n' for n in range(4000) for _ in range(2)
    ).encode()
    decoded(text, shapes)
    assert not made
    often = "".join(
        f'{{"ts":{NOW},"type":"syscall","pid":1,"k{n}":1}}\n' for n in range(300) for _ in range(PAYS_AFTER)
    )
    decoded(often.encode(), shapes)
    assert len(made) == MOST_SHAPES


def _unusable():
    raise shapes_module.NoTranslatorError("none")
