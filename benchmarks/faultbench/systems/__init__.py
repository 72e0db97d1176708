"""The systems that the bench knows, one module for each sort."""
