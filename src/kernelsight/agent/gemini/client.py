"""One request to a model: streamed, bounded in time and size, repeated where that may help."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pydantic
from google import genai
from google.genai import errors, types

from kernelsight.agent.budget import Meter
from kernelsight.agent.gemini.settings import Settings
from kernelsight.agent.reasoner import Tell
from kernelsight.errors import KernelSightError
from kernelsight.printable import printable

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed (google.aip.dev/194, and 408 of proxies)."""
_BROKEN = (
    httpx2.TransportError,
    httpx2.StreamError,
    json.JSONDecodeError,
    pydantic.ValidationError,
    errors.UnknownApiResponseError,
)
"""What a connection that breaks, or an answer that is none, ends in."""
_BAD_LUCK = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "OTHER", "FINISH_REASON_UNSPECIFIED"})
"""Reasons for which a model ends that have to do with chance."""
_MOST_BYTES = 16 * 2**20
_MOST_MESSAGE = 300


class ModelError(KernelSightError):
    """The model gave no answer; the message says why."""


class _TryAgainError(Exception):
    """A request failed in a way that may not happen again."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(slots=True)
class Reply:
    """What a model said to one request; its parts unchanged and in their order, signatures with them."""

    parts: list[types.Part] = field(default_factory=list)
    finish: str = ""

    @property
    def content(self) -> types.Content:
        """The reply as the history of a conversation has it."""
        return types.Content(role="model", parts=self.parts)

    @property
    def calls(self) -> list[types.FunctionCall]:
        """The tools that it wants to be used."""
        return [part.function_call for part in self.parts if part.function_call is not None]

    @property
    def text(self) -> str:
        """What it says, without thoughts."""
        return "".join(part.text for part in self.parts if part.text and not part.thought)


class Client:
    """A connection to a model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # The key goes to the address that was configured and nowhere else, so redirections are not followed.
        self._http = _BoundedClient(follow_redirects=False)
        # It warns of calls beside text in an answer; they are wanted here.
        logging.getLogger("google_genai.types").setLevel(logging.ERROR)
        self._models = genai.Client(
            vertexai=False,
            api_key=settings.key,
            http_options=types.HttpOptions(base_url=settings.base_url, httpx_client=self._http),
        ).models

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(
        self, contents: Sequence[types.Content], config: types.GenerateContentConfig, meter: Meter, tell: Tell
    ) -> Reply:
        """The model's reply; requests that fail by chance are repeated, later and later.

        Raises:
            ModelError: there was none.
            BudgetSpentError: it took too long.
        """
        for retry in range(self._settings.most_retries + 1):
            try:
                return self._once(contents, config, meter, tell)
            except _TryAgainError as error:
                why = self._settings.without_key(str(error))
                if retry == self._settings.most_retries:
                    raise ModelError(f"{self._settings.model} failed {retry + 1} times, at last: {why}") from None
                self._wait(why, error.wait_s, retry, meter, tell)
        raise AssertionError

    def _wait(self, why: str, wait_s: float | None, retry: int, meter: Meter, tell: Tell) -> None:
        """Back off exponentially, with jitter so that several agents do not come back at once; or as long as told."""
        delay = self._settings.first_delay_s * 2**retry * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        delay = delay if wait_s is None else max(wait_s, 0.0)
        if delay >= meter.seconds_left:
            raise ModelError(f"{why}; to be tried again after {delay:.0f} s, which the budget does not allow")
        tell(f"{printable(why)}; again in {delay:.1f} s")
        meter.retries += 1
        time.sleep(delay)

    def _once(
        self, contents: Sequence[types.Content], config: types.GenerateContentConfig, meter: Meter, tell: Tell
    ) -> Reply:
        meter.check_time()
        self._http.meter = meter
        silence_s = min(self._settings.silence_s, max(meter.seconds_left, 0.001))
        options = types.HttpOptions(timeout=max(int(silence_s * 1000), 1))
        config = config.model_copy(update={"http_options": options})
        try:
            reply = self._read(self._chunks(contents, config), meter, tell)
        except errors.APIError as error:
            raise self._refusal(error) from None
        except _BROKEN as error:
            meter.check_time()
            raise _TryAgainError(f"the connection or the answer broke: {_short(error)}") from None
        if reply.finish in _BAD_LUCK:
            raise _TryAgainError(f"the model ended with {reply.finish}")
        if reply.finish != "STOP":
            raise ModelError(f"{self._settings.model} ended with {reply.finish}")
        return reply

    def _chunks(
        self, contents: Sequence[types.Content], config: types.GenerateContentConfig
    ) -> Iterator[types.GenerateContentResponse]:
        messages: list[Any] = list(contents)
        if self._settings.streamed:
            yield from self._models.generate_content_stream(
                model=self._settings.model, contents=messages, config=config
            )
        else:
            yield self._models.generate_content(model=self._settings.model, contents=messages, config=config)

    def _read(self, chunks: Iterable[types.GenerateContentResponse], meter: Meter, tell: Tell) -> Reply:
        reply = Reply()
        used: types.GenerateContentResponseUsageMetadata | None = None
        try:
            for chunk in chunks:
                used = chunk.usage_metadata or used
                blocked = chunk.prompt_feedback and chunk.prompt_feedback.block_reason
                if blocked:
                    raise ModelError(f"{self._settings.model} refused the question: {blocked.value}")
                for candidate in (chunk.candidates or [])[:1]:
                    for part in (candidate.content and candidate.content.parts) or []:
                        _keep(reply, part, tell)
                    if candidate.finish_reason:
                        reply.finish = candidate.finish_reason.value
        finally:
            if used:
                _spend(meter, used)
        if not reply.finish:
            raise _TryAgainError("the answer ended in the middle")
        return reply

    def _refusal(self, error: errors.APIError) -> Exception:
        said = self._settings.without_key(printable(str(error.message or error.status or "")[:_MOST_MESSAGE]))
        why = f"{self._settings.model} answered {error.code}: {said}"
        return _TryAgainError(why, _retry_delay(error.details)) if error.code in _AGAIN else ModelError(why)


def _keep(reply: Reply, part: types.Part, tell: Tell) -> None:
    if part.thought and part.text:
        tell(printable(part.text.strip().partition("\n")[0]))
    # The server refuses an empty part that is sent back; a part with only a signature must be sent back.
    if part.model_dump(exclude_none=True, exclude={"text"}) or part.text:
        reply.parts.append(part)


def _spend(meter: Meter, used: types.GenerateContentResponseUsageMetadata) -> None:
    meter.spend(
        input_tokens=(used.prompt_token_count or 0) + (used.tool_use_prompt_token_count or 0),
        cached_tokens=used.cached_content_token_count or 0,
        output_tokens=(used.candidates_token_count or 0) + (used.thoughts_token_count or 0),
    )


def _retry_delay(details: object) -> float | None:
    """Seconds after which the server wants to be asked again (google.rpc.RetryInfo); None where it does not say."""
    error = details.get("error") if isinstance(details, dict) else None
    for detail in error.get("details") or [] if isinstance(error, dict) else []:
        text = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(text, str) and text.isascii() and text.removesuffix("s").replace(".", "", 1).isdigit():
            return float(text.removesuffix("s"))
    return None


def _short(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}"[:_MOST_MESSAGE])


class _BoundedClient(httpx2.Client):
    """Reads no more than so many bytes of a response, and not beyond the time that a meter allows."""

    meter: Meter

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request; its response is read through the bounds."""
        response = super().send(request, stream=True, **options)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _BoundedStream(response.stream, self.meter)
        if not stream:
            response.read()
        return response


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        for chunk in self._stream:
            self._meter.check_time()
            count += len(chunk)
            if count > _MOST_BYTES:
                raise ModelError(f"the answer has more than {_MOST_BYTES:,} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()
