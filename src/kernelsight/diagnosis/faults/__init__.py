"""The classes of faults: one module a class, which declares it under its own name in capitals."""
