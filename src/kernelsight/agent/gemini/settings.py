"""Which model, and how to reach it: from the environment alone."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelsight.errors import UsageError

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where the key may stand; the first that is set counts, as it does for Google's own library."""
MODEL = "KERNELSIGHT_MODEL"
BASE_URL = "GOOGLE_GEMINI_BASE_URL"
STREAM = "KERNELSIGHT_MODEL_STREAM"
DEFAULT_MODEL = "gemini-3.5-flash"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a model."""

    model: str
    key: str = field(repr=False)
    """Of whoever pays; shown nowhere."""
    base_url: str | None
    streamed: bool
    """Whether answers come in parts; some gateways hand them on only when they are whole."""
    first_delay_s: float
    """Before the first retry; each further one waits twice as long."""
    most_retries: int = 4
    """Of one request."""
    silence_s: float = 60.0
    """A model may think for so long between two parts of its answer."""

    def without_key(self, text: str) -> str:
        """A text that may be shown, whatever it was made of."""
        return text.replace(self.key, "…")


def has_package() -> bool:
    """Whether the library that speaks to the model is installed (the extra `agent`)."""
    return importlib.util.find_spec("google") is not None and importlib.util.find_spec("google.genai") is not None


def has_key(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a model can be asked at all."""
    return any(environment.get(name, "").strip() for name in KEYS)


def settings(
    environment: Mapping[str, str] = os.environ, model: str | None = None, first_delay_s: float = 1.0
) -> Settings:
    """The settings of this process.

    Args:
        environment: its variables.
        model: instead of the one that they name.
        first_delay_s: before the first retry.

    Raises:
        UsageError: there is no key.
    """
    key = next((environment[name].strip() for name in KEYS if environment.get(name, "").strip()), None)
    if key is None:
        raise UsageError(f"the model needs a key in {' or '.join(KEYS)}; without one ask the offline reasoner")
    return Settings(
        model=model or environment.get(MODEL) or DEFAULT_MODEL,
        key=key,
        base_url=environment.get(BASE_URL) or None,
        first_delay_s=first_delay_s,
        streamed=environment.get(STREAM, "1") not in {"0", "false", "no"},
    )
