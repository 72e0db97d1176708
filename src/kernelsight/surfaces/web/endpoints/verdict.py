"""The verdict on a window, in a sentence."""

from __future__ import annotations

import msgspec

from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import endpoint
from kernelsight.surfaces.web.headline import Headline, headline
from kernelsight.surfaces.web.span import From, To, span

_NOW = "now"


class WindowAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which window."""

    since: From = "60s"
    until: To = _NOW


@endpoint("/api/verdict")
def verdict(desk: Desk, asked: WindowAsked) -> Headline:
    """Give the verdict on a window of 15 minutes or less; where it ends now, on the last minute."""
    when = span(asked.since, asked.until)
    if asked.until == _NOW:
        return headline(desk.diagnoses.last_minute())
    return headline(desk.diagnoses.of(when)[0])
