"""Whatever bytes come in, the daemon goes on: every line is stored or refused, and the store stays sound."""

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_path import WholePath

from kernelsight.events import wire
from kernelsight.ingest.times import DESCRIPTIONS, KEYS
from kernelsight.ingest.vocabulary import TYPE_KEYS, WRAPPERS, all_names, kinds_called, vocabulary

NUMBERS = (
    *("0", "-0", "-0.0", "1", "-1", "1.5", "1e3", "1E-3", "2.5e-324", "1e308", "1e309", "-1e400", "1e-400"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"),
    *("1" * 25, "9" * 308, "9" * 309, "-" + "9" * 309, "1" * 4300, "1" * 4301, "0." + "1" * 500, "1" * 309 + ".5"),
    *("1e99999999999999999999", "-1e-99999999999999999999", "1e999999", "1.7e+18", "1795000000123456789"),
    *("1795000000.123456789", "1692108548132154.5", "5000000000", "NaN", "Infinity", "-Infinity", "01", "1.", "+1"),
)
TEXTS = (
    *('""', '"x"', r'"\ud800"', r'"\udfff x"', r'"\u0000"', '"\x00"', r'"\ud83d\ude00"', '"' + "y" * 65_600 + '"'),
    *('"0x1f"', '"12"', '"1e400"', '"' + "9" * 5000 + '"', '"١٢"', '"1_000"', '"nan"', '"-inf"', '"true"'),
    *('"2024-07-25T12:00:00.5Z"', '"2016-12-31T23:59:60Z"', '"2024-02-30T00:00:00Z"', '"web"', '"cpu3"'),
)
OTHERS = ("null", "true", "false", "{}", "[]", '{"":{}}', "[[[]]]", '{"a":1}', "[1,2]", "[" * 60 + "]" * 60, "x", "")
NAMES = (
    *(sorted(all_names() | WRAPPERS | set(TYPE_KEYS) | set(KEYS) | DESCRIPTIONS)),
    *("tags", "name", "container_name", "pod", "cpu", "host", "", r"\ud800", "k" * 100_000, "timestamp\x00"),
)


def as_object(fields):
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"


atoms = st.sampled_from((*NUMBERS, *NUMBERS, *TEXTS, *OTHERS)) | st.integers().map(str) | st.floats().map(str)
words = st.sampled_from(sorted(kinds_called())).map(json.dumps)
names = st.sampled_from(NAMES)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(st.tuples(names, inner), max_size=4).map(as_object)
        | st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
    ),
    max_leaves=6,
)


@st.composite
def lines(draw):
    """An object in the words of a kind with a strange value in it, or only strange fields."""
    kind = wire.kinds()[draw(st.sampled_from(sorted(wire.kinds())))]
    own = [column.name for column in kind.columns[1:]] + [alias for c in kind.columns for alias in c.aliases]
    fields = [("type", draw(words | st.just(f'"{kind.name}"')))] if draw(st.booleans()) else []
    fields.append((draw(st.sampled_from(["timestamp", "ts", *KEYS])), draw(st.just("1795000000123456789") | atoms)))
    fields += draw(st.lists(st.tuples(st.sampled_from(own), st.just("1") | values), min_size=1, max_size=4))
    fields += draw(st.lists(st.tuples(names, values), max_size=2))
    return as_object(draw(st.permutations(fields)) if draw(st.booleans()) else fields)


garbage = st.binary(max_size=30) | st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\xef\xbb\xbf", b"\0"])


@st.composite
def streams(draw):
    """Lines, arrays and garbage, some of it cut, and where it is cut into reads."""
    pieces = []
    for text in draw(st.lists(lines(), max_size=4)):
        data = text.encode(errors="surrogatepass")
        if draw(st.integers(0, 5)) == 0:
            at = draw(st.integers(0, min(len(data), 200)))
            data = data[:at] + draw(garbage) + data[at + draw(st.integers(0, 3)) :]
        if draw(st.integers(0, 5)) == 0:
            data = b"[" + data + draw(st.sampled_from([b",\n", b",", b"\n,", b" "])) + data + b"]"
        if draw(st.integers(0, 7)) == 0:
            data = data.replace(b",", b",\n  ").replace(b"{", b"{\n")
        pieces += [data, draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"", b" "])), draw(garbage | st.just(b""))]
    data = b"".join(pieces)
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


def take(folder, examples):
    path = WholePath(folder)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(streams())
    def every(reads):
        path.take(reads)

    try:
        every()
    finally:
        path.close()


def test_any_bytes_are_stored_or_refused_and_the_daemon_goes_on(tmp_path):
    take(tmp_path, 60)


@pytest.mark.slow
def test_many_more_bytes_are_stored_or_refused(tmp_path):
    take(tmp_path, 300)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    path = WholePath(tmp_path_factory.mktemp("any"))
    yield path
    path.close()


@pytest.mark.parametrize("literal", [*NUMBERS, *TEXTS, *OTHERS], ids=lambda literal: ascii(literal[:20]))
def test_every_strange_value_under_every_name_of_every_kind(shared, literal):
    text = "\n".join(
        as_object([("type", f'"{kind.name}"'), ("timestamp", "1795000000123456789"), (name, literal)])
        for kind in wire.kinds().values()
        for name in ("timestamp", *vocabulary(kind))
    )
    shared.take([text.encode(errors="surrogatepass")])
