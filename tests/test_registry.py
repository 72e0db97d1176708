"""What is declared in a module of a package is found; what a module is, is found by its name."""

import sys
from importlib import import_module

import pytest

from kernelsight.registry import Plugins, Registry, load_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose modules declare animals in `zoo.animals`, one of them in a package within."""
    zoo = tmp_path / "zoo"
    (zoo / "birds").mkdir(parents=True)
    (zoo / "__init__.py").write_text("")
    (zoo / "animals.py").write_text(
        "from kernelsight.registry import Registry\n"
        "animals = Registry('animal', 'zoo', skip={'animals'}, nested=True)\n"
    )
    (zoo / "cats.py").write_text("from zoo.animals import animals\nanimals.add('cat', 4)\nlegs = 4\n")
    (zoo / "birds" / "__init__.py").write_text("legs = 2\n")
    (zoo / "birds" / "sea.py").write_text("from zoo.animals import animals\nanimals.add('auk', 2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "zoo"
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo"]:
        del sys.modules[name]


def test_a_new_module_is_found_by_itself_and_items_come_by_their_keys(package):
    animals = import_module(f"{package}.animals").animals
    assert dict(animals.declared) == {}
    assert list(animals.all().items()) == [("auk", 2), ("cat", 4)]


def test_items_come_in_the_order_that_their_registry_has(package):
    import_module(f"{package}.animals")
    by_legs = Registry("animal", package, order=lambda item: -item[1])
    for name, legs in (("ant", 6), ("spider", 8)):
        by_legs.add(name, legs)
    assert list(by_legs.all()) == ["spider", "ant"]


def test_what_is_declared_after_all_were_asked_for_is_there_too(package):
    animals = import_module(f"{package}.animals").animals
    animals.all()
    animals.add("bee", 6)
    assert list(animals.all()) == ["auk", "bee", "cat"]


def test_two_of_one_key_are_refused(package):
    animals = import_module(f"{package}.animals").animals
    animals.all()
    with pytest.raises(TypeError, match="animal 'cat' is declared twice"):
        animals.add("cat", 3)


def test_modules_are_loaded_but_for_those_that_are_to_be_left_out_at_any_depth(package):
    assert sorted(load_modules(package)) == ["animals", "birds", "cats"]
    assert sorted(load_modules(package, skip={"sea", "cats"}, nested=True)) == ["animals", "birds"]


def test_a_plugin_is_loaded_when_it_is_asked_for(package):
    legs = Plugins(package, lambda module: module.legs, skip={"animals"})
    assert legs.names() == ["birds", "cats"]
    assert f"{package}.cats" not in sys.modules
    assert legs.get("cats") == 4
    assert legs.get("dogs") is None
    assert dict(legs.all()) == {"birds": 2, "cats": 4}


@pytest.mark.parametrize(("packages", "names"), [(True, ["birds"]), (False, ["animals", "cats"])])
def test_plugins_may_be_packages_alone_or_modules_alone(package, packages, names):
    assert Plugins(package, lambda module: module, packages=packages).names() == names
