"""Ports that have one meaning everywhere (the registry of IANA)."""

from __future__ import annotations

TIME_PORTS = frozenset({123, 319, 320})
"""NTP, and the events and messages of PTP."""
