"""What registers itself: a new module in a package is found without being listed anywhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection
from types import ModuleType


def modules_of(package: str, but: Collection[str] = ()) -> dict[str, ModuleType]:
    """Import the modules of a package, so that all of them have registered what they have; by their names.

    Args:
        package: its full name.
        but: names of modules that are left out.
    """
    path = importlib.import_module(package).__path__
    names = [module.name for module in pkgutil.iter_modules(path) if module.name not in but]
    return {name: importlib.import_module(f"{package}.{name}") for name in names}
