"""What registers itself: a new module in a package is found without being listed anywhere.

There are two ways to have many of a thing, and no third:

- :class:`Registry`: modules declare what they have as they are imported, by a decorator or a call; whoever asks for
  one of them gets all of them loaded. Kinds of event, collectors, rules, actions, tools, intents.
- :class:`Plugins`: a module *is* the thing, of the module's name. It may be imported alone when that one is used, as
  where it is slow to load or needs what may not be installed. Commands, reasoners, stores; faults, mechanisms.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


def load_modules(package: str, *, skip: Collection[str] = (), nested: bool = False) -> dict[str, ModuleType]:
    """Import the modules of a package.

    Args:
        package: its full name.
        skip: names of modules that are left out at every depth, with all below them.
        nested: whether those of the packages within it are imported as well.

    Returns:
        the modules by their names within the package: `netlink`, `netlink.dump`.
    """
    loaded: dict[str, ModuleType] = {}
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if entry.name in skip:
            continue
        full_name = f"{package}.{entry.name}"
        loaded[entry.name] = importlib.import_module(full_name)
        if nested and entry.ispkg:
            within = load_modules(full_name, skip=skip, nested=True)
            loaded |= {f"{entry.name}.{name}": module for name, module in within.items()}
    return loaded


class Registry(Generic[K, T]):
    """Items by key, declared by the modules of a package.

    Args:
        noun: what an item is called in an error, such as `collector`.
        package: full name of the package whose modules declare them.
        order: how :meth:`all` sorts them, from key and item; by key where not given.
        skip: names of modules that declare none and are not to be imported.
        nested: whether modules of packages within the package declare some, too.
    """

    def __init__(
        self,
        noun: str,
        package: str,
        *,
        order: Callable[[tuple[K, T]], Any] | None = None,
        skip: Collection[str] = (),
        nested: bool = False,
    ) -> None:
        self.noun = noun
        self._package = package
        self._order = order
        self._skip = skip
        self._nested = nested
        self._declared: dict[K, T] = {}
        self._all: Mapping[K, T] | None = None

    def add(self, key: K, item: T) -> None:
        """Declare an item.

        Raises:
            TypeError: there is one of this key.
        """
        if key in self._declared:
            raise TypeError(f"{self.noun} {key!r} is declared twice")
        self._declared[key] = item
        self._all = None

    @property
    def declared(self) -> Mapping[K, T]:
        """Those that are declared so far: for what runs while modules are being imported."""
        return MappingProxyType(self._declared)

    def all(self) -> Mapping[K, T]:
        """All of them in their order; imports every module of the package when first asked."""
        if self._all is None:
            load_modules(self._package, skip=self._skip, nested=self._nested)
            self._all = MappingProxyType(dict(sorted(self._declared.items(), key=self._order)))
        return self._all


class Plugins(Generic[T]):
    """One item a module, of the module's name, imported when it is asked for.

    Args:
        package: full name of the package.
        item: what of the module is the item.
        skip: names of modules that are none.
        packages: whether only packages within the package are meant, or only modules that are none; None: both.
    """

    def __init__(
        self, package: str, item: Callable[[ModuleType], T], *, skip: Collection[str] = (), packages: bool | None = None
    ) -> None:
        self._package = package
        self._item = item
        self._skip = skip
        self._packages = packages
        self._all: Mapping[str, T] | None = None

    def names(self) -> list[str]:
        """The names that there are, in alphabetical order, without importing any module but the package."""
        path = importlib.import_module(self._package).__path__
        return sorted(
            module.name
            for module in pkgutil.iter_modules(path)
            if module.name not in self._skip and self._packages in {None, module.ispkg}
        )

    def get(self, name: str) -> T | None:
        """The item of a name; None where there is none."""
        if name not in self.names():
            return None
        return self._item(importlib.import_module(f"{self._package}.{name}"))

    def all(self) -> Mapping[str, T]:
        """All of them by name; imports every module when first asked."""
        if self._all is None:
            self._all = MappingProxyType(
                {name: self._item(importlib.import_module(f"{self._package}.{name}")) for name in self.names()}
            )
        return self._all
