"""The reasoner that asks a Gemini model, which asks the telemetry through tools; its answer is held against the store.

Calls of tools are ours to make, one by one: so are their errors, what they cost, and the signatures of thoughts,
which come back unchanged on the parts they came with (Gemini 3 refuses the conversation otherwise). Whatever goes
wrong with the model, the report has what the deterministic diagnosis says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from kernelsight.agent.budget import Budget, BudgetSpentError, Meter
from kernelsight.agent.claims import Answer, proven
from kernelsight.agent.evidence import Citations
from kernelsight.agent.gemini.prompt import LAST, asked, complaint, instructions
from kernelsight.agent.gemini.settings import Settings, settings
from kernelsight.agent.model import Report
from kernelsight.agent.questions.times import named_in
from kernelsight.agent.reasoner import Question, Reasoner, Tell, silent
from kernelsight.agent.sanitising import Data, bounded
from kernelsight.agent.schema import schema_of
from kernelsight.agent.tool import Desk, call, tools
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Diagnosis
from kernelsight.errors import UsageError
from kernelsight.printable import printable
from kernelsight.query.source import Source, opened

try:
    from google.genai import types

    from kernelsight.agent.gemini.client import Client, ModelError, Reply
except ImportError as error:
    raise UsageError(
        f"the model needs a package that is missing ({error.name}): pip install 'kernelsight[agent]'"
    ) from error

_MOST_EXCHANGES = 6
"""Questions that a conversation remembers, with all that was looked up for them; older ones are forgotten."""
_MOST_CALLS = 16
"""Of tools, in one reply."""
_MOST_COMPLAINTS = 2
_MOST_TOLD = 160


class Gemini:
    """A conversation with a model about a store."""

    def __init__(self, source: Source, wanted: Settings, budget: Budget) -> None:
        self.name = wanted.model
        self._source = source
        self._budget = budget
        self._client = Client(wanted)
        self._ledger = Citations()
        self._exchanges: list[list[types.Content]] = []

    def ask(self, question: Question, tell: Tell = silent) -> Report:
        """Let the model find out, and keep of its answer what the store shows."""
        question = replace(question, when=named_in(question.text, question.when))
        known = diagnose(self._source, question.when.start_ns, question.when.end_ns)
        exchange = [_message(asked(question))]
        meter = Meter(self._budget, self.name)
        try:
            answer = self._converse(Desk(self._source, question.when, self._ledger), exchange, meter, tell)
        except (ModelError, BudgetSpentError) as error:
            return Report(question.text, self.name, known, usage=meter.usage, stopped=str(error))
        self._exchanges = [*self._exchanges, exchange][-_MOST_EXCHANGES:]
        return self._report(question, answer, known, meter)

    def _report(self, question: Question, answer: Answer, known: Diagnosis, meter: Meter) -> Report:
        with opened(self._source) as reader:
            shown = proven(answer, reader, self._ledger, known)
        return Report(
            question=question.text,
            reasoner=self.name,
            diagnosis=known.with_findings(shown.findings),
            answer=shown.answer,
            limits=shown.limits,
            doubts=tuple(shown.doubts),
            explains=bool(answer.findings),
            usage=meter.usage,
        )

    def _converse(self, desk: Desk, exchange: list[types.Content], meter: Meter, tell: Tell) -> Answer:
        """Go back and forth until the model answers; the exchange holds all that was said."""
        complaints = 0
        while True:
            config = _config(last=meter.is_last_step)
            meter.step()
            reply = self._client.ask(self._history(exchange), config, meter, tell)
            exchange.append(reply.content)
            if reply.calls:
                exchange.append(types.Content(role="user", parts=self._use_tools(desk, reply, meter, tell)))
                continue
            try:
                return msgspec.json.decode(reply.text, type=Answer)
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                complaints += 1
                if complaints > _MOST_COMPLAINTS:
                    raise ModelError(f"{self.name} gave no answer that fits: {printable(str(error))}") from None
                exchange.append(_message(complaint(str(error))))

    def _history(self, exchange: Sequence[types.Content]) -> list[types.Content]:
        return [content for past in self._exchanges for content in past] + list(exchange)

    def _use_tools(self, desk: Desk, reply: Reply, meter: Meter, tell: Tell) -> list[types.Part]:
        """One response to each call, in their order, under their ids."""
        parts = []
        for number, wanted in enumerate(reply.calls):
            name, arguments = wanted.name or "", wanted.args or {}
            tell(_told(name, arguments))
            meter.check_time()
            meter.calls += 1
            output = (
                _used(desk, name, arguments) if number < _MOST_CALLS else {"error": f"more than {_MOST_CALLS} calls"}
            )
            response = types.FunctionResponse(id=wanted.id, name=name, response=output)
            parts.append(types.Part(function_response=response))
        return parts


def _used(desk: Desk, name: str, arguments: Mapping[str, Any]) -> Data:
    """What a tool found; what the model can mend goes back to it, anything else stops the run."""
    try:
        return {"output": call(desk, name, arguments)}
    except UsageError as error:
        return bounded({"error": str(error)})


def _config(*, last: bool) -> types.GenerateContentConfig:
    declared = [
        types.FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.schema)
        for tool in tools().values()
    ]
    mode = types.FunctionCallingConfigMode.NONE if last else types.FunctionCallingConfigMode.AUTO
    return types.GenerateContentConfig(
        system_instruction=f"{instructions()}\n\n{LAST}" if last else instructions(),
        tools=[types.Tool(function_declarations=declared)],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode)),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,  # a stream that breaks is asked for again, within the budget
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        response_mime_type="application/json",
        response_json_schema=schema_of(Answer),
    )


def _message(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


def _told(name: str, arguments: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key}={value}" for key, value in arguments.items())
    text = f"{name}({given})"
    return printable(text if len(text) <= _MOST_TOLD else f"{text[:_MOST_TOLD]}…")


def begin(source: Source, budget: Budget, model: str | None = None) -> Reasoner:
    """Begin a conversation; the key, and where to send it, come from the environment.

    Raises:
        UsageError: there is no key.
    """
    return Gemini(source, settings(model=model), budget)
