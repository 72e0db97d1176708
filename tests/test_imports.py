"""Modules import each other in no circle, and every room is under the contracts of `.importlinter`."""

from __future__ import annotations

from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

import kernelsight

MAY_KNOW_A_BACKEND = {"compat", "stores"}
BELOW_ALL = {"linux"}


@pytest.mark.parametrize("package", ["kernelsight", "benchmarks"])
def test_modules_do_not_import_each_other_in_a_circle(package):
    graph = grimp.build_graph(package, cache_dir=None)
    assert len(graph.modules) > 20
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(reversed(error.args[1]))}")


def test_every_room_is_under_the_contracts():
    contracts = ConfigParser()
    contracts.read(Path(__file__).parents[1] / ".importlinter")
    rooms = {folder.parent.name for folder in Path(kernelsight.__file__).parent.glob("*/__init__.py")}
    assert "query" in rooms
    layers = contracts["importlinter:contract:layers"]["layers"].replace("|", " ").replace("(", " ").replace(")", " ")
    assert {f"kernelsight.{room}" for room in rooms} <= set(layers.split())
    without_backends = set(contracts["importlinter:contract:stores"]["source_modules"].split())
    assert {f"kernelsight.{room}" for room in rooms - MAY_KNOW_A_BACKEND - BELOW_ALL} <= without_backends
