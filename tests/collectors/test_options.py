"""Settings of collectors: those that there are, and a refusal of all others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kernelsight import collectors
from kernelsight.collectors.options import OPTIONS, parse_options
from kernelsight.errors import UsageError


def test_settings_have_the_type_that_is_declared():
    texts = ["threshold_ms=5", "include_waits=true", "tcp_many=7", "fault_source=perf"]
    assert parse_options(texts) == {"threshold_ms": 5.0, "include_waits": True, "tcp_many": 7, "fault_source": "perf"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("treshold_ms=5", r"there is no setting 'treshold_ms'; there are .*threshold_ms"),
        ("threshold_ms", "NAME=VALUE"),
        ("=5", "NAME=VALUE"),
        ("threshold_ms=soon", "a number"),
        ("threshold_ms=nan", "a number"),
        ("tcp_many=1.5", "a whole number"),
        ("include_waits=1", "true or false"),
    ],
)
def test_what_is_no_setting_is_refused_with_what_is(text, said):
    with pytest.raises(UsageError, match=said):
        parse_options([text])


def test_every_setting_that_a_collector_reads_is_declared_and_no_other():
    read = set()
    for file in Path(collectors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and ast.unparse(node.func.value) in {"host.options", "self.host.options", "options"}
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                read.add(node.args[0].value)
    assert read == set(OPTIONS)
