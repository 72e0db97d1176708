"""The mechanisms by which faults come about: one module a mechanism, which declares it as ``MECHANISM``."""
