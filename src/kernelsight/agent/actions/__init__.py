"""The actions that there are, one module each, found by themselves; there are no others."""
