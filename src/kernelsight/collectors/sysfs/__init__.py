"""Collectors that read /sys."""
