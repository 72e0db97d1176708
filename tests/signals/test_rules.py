"""Every rule, for and against: a scene in which it must be raised, and one like it in which it must not."""

from __future__ import annotations

import msgspec
import pytest
from recorded import SECOND, put
from rule_scenes import MANY, SCENES, WELL_THOUGH_LOUD

from kernelsight.events.scheduler import Load
from kernelsight.signals.model import Measure
from kernelsight.signals.model import rule as declared
from kernelsight.signals.registry import rules
from kernelsight.signals.run import classify
from kernelsight.stores.base import open_reader, open_writer

START = 1_790_000_000 * SECOND
LENGTH = 20


def rows(struct, columns, second, offset=0):
    """What one second has; a pair is a counter."""
    values = {name: v[0] + second * v[1] if isinstance(v, tuple) else v for name, v in columns.items()}
    return msgspec.convert(
        {"type": struct.__struct_config__.tag, "timestamp": START + second * SECOND + offset, **values}, struct
    )


def raised(path, events):
    writer = open_writer(str(path))
    put(writer, events)
    writer.close()
    reader = open_reader(str(path))
    try:
        return classify(reader, rules(), START, START + LENGTH * SECOND)
    finally:
        reader.close()


@pytest.mark.parametrize("name", SCENES)
def test_a_rule_is_raised_when_it_must_be_and_not_otherwise(tmp_path, name):
    struct, always, ill, well = SCENES[name]
    found = raised(tmp_path / "ill", [rows(struct, {**always, **ill}, second) for second in range(LENGTH)])
    [signal] = [one for one in found if one.rule == name]
    rule = rules()[name]
    assert (signal.subject, signal.scope, signal.table_name) == (rule.subject, rule.scope, rule.kind.table)
    assert signal.value >= signal.threshold == rule.raise_at
    assert signal.end_ns is None
    assert signal.last_seen_ns == START + (LENGTH - 1) * SECOND
    assert signal.timestamp <= START + SECOND  # the second sample is the first that a rate can be had of
    assert "{" not in signal.summary
    if well is not None:
        quiet = raised(tmp_path / "well", [rows(struct, {**always, **well}, second) for second in range(LENGTH)])
        assert [one for one in quiet if one.rule == name] == []


@pytest.mark.parametrize("name", MANY)
def test_a_rule_about_many_events_counts_them(tmp_path, name):
    struct, columns, ill, well = MANY[name]
    for label, many in (("ill", ill), ("well", well)):
        events = [rows(struct, columns, second, number) for second in range(LENGTH) for number in range(many)]
        found = [one for one in raised(tmp_path / label, events) if one.rule == name]
        assert [one.value for one in found] == ([many] if many == ill else [])


@pytest.mark.parametrize("name", WELL_THOUGH_LOUD)
def test_what_harms_nobody_is_never_critical(tmp_path, name):
    struct, columns = WELL_THOUGH_LOUD[name]
    found = raised(tmp_path / "db", [rows(struct, columns, second) for second in range(LENGTH)])
    assert [one.summary for one in found if one.severity == "critical"] == []


def test_a_critical_level_says_whom_it_harms_and_other_rules_have_none():
    for rule in rules().values():
        assert ("critical" in rule.levels) == (rule.harm is not None), rule.name
        assert rule.harm is None or len(rule.harm.text) > 10, rule.name
    with pytest.raises(TypeError, match="harm"):
        declared(
            "loud",
            Load,
            Measure((Load.load_1min,), "tasks"),
            scope="machine",
            levels={"critical": 1},
            because="",
            summary="",
        )


def test_what_is_never_critical_says_on_which_healthy_machine_it_stands_and_for_how_long():
    for rule in rules().values():
        assert rule.healthy or rule.harm, rule.name
        assert not rule.healthy or ":" in rule.healthy, rule.name


def test_every_rule_has_a_scene():
    assert {*SCENES, *MANY} == set(rules())


def test_every_rule_says_why_and_in_which_unit():
    for rule in rules().values():
        assert len(rule.because) > 30, rule.name
        assert rule.measure.unit, rule.name
        assert rule.summary[0].islower() or rule.summary[0] in "{C", rule.name
