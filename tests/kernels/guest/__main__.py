"""Run the checks and print one line of JSON for each: its name, how long it took, and what was wrong, or null."""

from __future__ import annotations

import json
import time
from traceback import format_exception

from guest import planned
from guest.groups import GROUP, enter

_LONGEST = 4000


def described(error: Exception) -> str:
    """Where it was raised, and with an assertion what was compared."""
    text = "".join(format_exception(error))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}\n…\n{text[-_LONGEST // 2 :]}"


def main() -> None:
    enter(GROUP)
    for name, call in planned().items():
        began, failure = time.monotonic(), None
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are checked
            failure = described(error)
        result = {"check": name, "seconds": round(time.monotonic() - began, 1), "failure": failure}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
