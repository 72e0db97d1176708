"""What a reasoner can do to find out: read-only questions about the store, one module a tool, found by themselves."""
