"""The channels, one module each."""
