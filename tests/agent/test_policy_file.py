"""A wrong policy file is refused with the line and the key; a right one says what it says."""

from __future__ import annotations

import re

import pytest

from kernelsight.agent.acting.policy import Policy
from kernelsight.agent.acting.policy_file import PolicyError, line_of, load, parse
from kernelsight.surfaces.cli.policy import _EXAMPLE


def test_the_example_is_a_policy_that_only_asks():
    policy = parse(_EXAMPLE)
    assert policy.mode == "approve"
    assert policy.protect.names == ("postgres*",)
    assert policy.actions["renice"].limits.most_nice == 10
    assert policy.windows[0].start == "08:00"


def test_an_empty_file_and_no_file_observe():
    assert parse("") == load(None) == Policy()
    assert Policy().mode == "observe"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("mode = auto", 1, "line 1"),
        ('mode = "autopilot"', 1, "mode: Invalid enum value 'autopilot'"),
        ('\nmoed = "auto"', 2, "moed: .*unknown field"),
        ("[rates]\nper_hour = 6\nat_once = -1", 3, "rates.at_once: Expected `int` >= 0"),
        ("[rates]\n\nper_hours = 6", 3, "rates.per_hours: .*unknown field"),
        ('[protect]\nnames = "sshd"', 2, "protect.names"),
        ("[actions.renice]\n# so far\nmost_nice = 20", 3, "actions.renice.most_nice: Expected `int` <= 19"),
        ("[actions.renice]\nmost_nicer = 9", 2, "there are least_confidence, mode, most_nice"),
        ("[actions.reboot]\n", 1, "actions.reboot: there is no such action; there are drop_caches"),
        ("actions.renice.mode = 'auot'", 1, "actions.renice.mode"),
        ('[[windows]]\nfrom = "08:00"\n[[windows]]\nfrom = "8:00"', 4, "windows.1.from"),
        ('[[windows]]\ndays = ["monday"]', 2, "windows.0.days.0"),
        ("[verification]\nkeep_s = '5 min'", 2, "verification.keep_s"),
        ('[actions.sysctl]\nallowed = {"kernel.panic" = 1}', 2, "actions.sysctl.allowed"),
    ],
)
def test_a_mistake_is_shown_with_its_line_and_key(text, line, says):
    with pytest.raises(PolicyError) as caught:
        parse(text, "policy.toml")
    message = str(caught.value)
    assert re.search(says, message), message
    assert f"line {line}" in message


def test_a_line_is_found_for_what_is_not_written_out():
    assert line_of("a = 1\n[b]\nc = {d = 1}", ["b", "c", "d"]) == 3
    assert line_of("a = 1", ["z"]) is None


def test_a_file_that_others_may_write_is_refused(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('mode = "auto"')
    path.chmod(0o666)
    with pytest.raises(PolicyError, match="others than you"):
        load(path)
    path.chmod(0o644)
    assert load(path).mode == "auto"


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"none\.toml"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes.toml").chmod(0o600)
    with pytest.raises(PolicyError, match=r"bytes\.toml"):
        load(tmp_path / "bytes.toml")
