"""A /proc that hides the processes of others: who does not see them is told so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from kernelsight.collectors.hidepid import parse_hidepid

LINE = b"24 30 0:22 / /proc rw,nosuid - proc proc rw%s\n"
LOOK = """
import json, os, sys
from pathlib import Path
from kernelsight.collectors.base import Host
from kernelsight.collectors.capabilities import find_facts
from kernelsight.collectors.procfs.process import ProcessCollector
from kernelsight.collectors.procfs.socket_owner import SocketOwnerCollector
collector = ProcessCollector(Host())
facts = [fact.says for fact in find_facts(Host()) if fact.name == "processes of others"]
limits = [collector.limitations, SocketOwnerCollector(Host()).limitations, facts]
said = ["; ".join(texts) for texts in limits]
json.dump({"said": said, "seen": Path("/proc/1").exists()}, sys.stdout)
"""


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        (b"", (0, None)),
        (b",hidepid=invisible", (2, None)),
        (b",gid=12,hidepid=2", (2, 12)),
        (b",hidepid=noaccess", (1, None)),
        (b",hidepid=ptraceable", (4, None)),
        (b",hidepid=\xff", (0, None)),
    ],
)
def test_how_proc_hides_is_read_from_its_mount(options, hidden):
    assert parse_hidepid(b"23 1 8:1 / / rw - ext4 /dev/sda1 rw\ngarbage\n" + LINE % options, b"/proc") == hidden


@pytest.mark.root
@pytest.mark.parametrize(("mode", "says"), [(2, "are not seen"), (1, "cannot be read"), (0, "")])
def test_another_user_is_told_that_processes_are_hidden_and_root_is_not(mode, says):
    # In namespaces of its own, so that nobody else's /proc changes.
    mount = f"mount -t proc -o hidepid={mode} proc /proc"
    user = f"setpriv --reuid=65534 --regid=65534 --clear-groups {sys.executable} -c '{LOOK}'"
    for command, told in ((user, bool(mode)), (f"{sys.executable} -c '{LOOK}'", False)):
        script = f"{mount} && {command}"
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script],
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        answer = json.loads(done.stdout)
        for said in answer["said"]:
            assert (f"hidepid={mode}: processes of other users {says}" in said) == told, answer
        assert answer["seen"] == (not (told and mode == 2))
