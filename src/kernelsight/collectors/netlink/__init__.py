"""Collectors that ask the kernel through netlink."""
