"""Collectors that load programs into the kernel (bpf/*.bpf.c)."""
