"""Tokens that people give to servers: from a file of this user alone, or from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from kernelsight.errors import UsageError
from kernelsight.trusted_paths import UntrustedPathError, read_text

_LEAST = 16
"""Characters: shorter ones can be tried out."""


def token_given(file: Path | None, variable: str) -> str:
    """The token that stands in a file, or else in a variable of the environment; empty where there is none.

    Raises:
        UsageError: it cannot be read, or can be guessed.
    """
    given = _secret(file) if file else os.environ.get(variable, "")
    if given and len(given) < _LEAST:
        raise UsageError(f"a token of {len(given)} characters can be guessed; give {_LEAST} characters or more")
    return given


def _secret(path: Path) -> str:
    try:
        token = read_text(path, secret=True).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {path}: cannot be read: {error}") from error
    except UntrustedPathError as error:
        raise UsageError(f"--token-file {error}") from error
    if not token:
        raise UsageError(f"--token-file {path}: is empty")
    return token
