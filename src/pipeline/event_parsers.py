"""The documented module; the code is :mod:`kernelsight.compat.event_parsers`."""

import kernelsight_python  # noqa: F401 - finds the project's Python

from kernelsight.compat.event_parsers import EventType, identify_event_type, normalize_event, parse_json_line

__all__ = ["EventType", "identify_event_type", "normalize_event", "parse_json_line"]
