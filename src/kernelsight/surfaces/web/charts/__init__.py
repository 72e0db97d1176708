"""The charts, one module a subject."""
