"""A collector has the name of what it yields, and is found under a name that it had."""

import json
import subprocess
import sys

import pytest

from kernelsight.collectors.base import collector, current_name, registered
from kernelsight.events.declare import kind_of
from kernelsight.events.lock import FileLockWait
from kernelsight.events.scheduler import Cpu, Load


def test_a_collector_of_one_kind_has_its_name():
    for name, sources in registered().items():
        names = {kind_of(struct).name for struct in sources[0].emits}
        assert len(names) > 1 or names == {name}
        assert {source.name for source in sources} == {name}


@pytest.mark.parametrize(("name", "emits"), [("processors", (Cpu,)), ("", (Cpu, Load))])
def test_another_name_is_refused(name, emits):
    with pytest.raises(TypeError, match="a collector of one kind has the name of that kind"):
        collector(name=name, source="test", emits=emits)(object)


def test_former_names_are_understood():
    former = {source.formerly: name for name, sources in registered().items() for source in sources if source.formerly}
    assert former["file_locks"] == kind_of(FileLockWait).name
    assert not former.keys() & registered().keys()
    assert {name: current_name(name) for name in former} == former
    assert current_name("load") == "load"
    command = [sys.executable, "-m", "kernelsight", "collect", "--duration", "1", "file_locks"]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()
    assert {event["name"] for event in map(json.loads, printed) if event["type"] == "collector"} == {"file_lock_wait"}
