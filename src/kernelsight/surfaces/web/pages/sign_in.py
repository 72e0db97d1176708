"""Signing in with the token."""

from collections.abc import Mapping
from typing import Any

from kernelsight.surfaces.web.page import Page, Visit, page


def _context(visit: Visit) -> Mapping[str, Any]:
    return {"wrong": "wrong" in visit.parameters, "back": visit.parameters.get("back", "/")}


page(Page("sign_in", "Sign in", "/sign-in", "sign_in.html", context=_context, rank=-1))
