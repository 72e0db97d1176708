"""No two modules import each other, at the top or within a function, nor do three or more in a circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


@pytest.mark.parametrize("package", ["kernelsight", "benchmarks"])
def test_modules_do_not_import_each_other_in_a_circle(package):
    graph = grimp.build_graph(package, cache_dir=None)
    assert len(graph.modules) > 20
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(reversed(error.args[1]))}")
