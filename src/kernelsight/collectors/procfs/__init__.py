"""Collectors that read /proc."""
