"""A server that speaks the REST wire of generateContent and streamGenerateContent, strictly, and by a script.

What a request must be is checked as the real service does (and rather more): a request that breaks a rule is
answered with 400 and kept in ``refusals``. What is answered otherwise stands in the script, one entry a request.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "key-of-the-tests-0123456789"
MODEL = "gemini-3.5-flash"
_PATH = re.compile(r"/v1(?:beta)?/models/([\w.-]+):(generateContent|streamGenerateContent)(\?alt=sse)?")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_BODY = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
_GENERATION = {"responseMimeType", "responseJsonSchema", "thinkingConfig"}
_SCHEMA = {"type", "description", "enum", "items", "properties", "required", "additionalProperties", "anyOf",
           "minimum", "maximum", "minItems", "maxItems"}  # fmt: skip
_DATA = {"text", "functionCall", "functionResponse"}
_LONGEST_RESPONSE = 20_000


class RuleBrokenError(Exception):
    """A request is not as it must be."""


def must(condition, rule):
    if not condition:
        raise RuleBrokenError(rule)


# --- what is answered ------------------------------------------------------------------------------


@dataclass
class Says:
    """Parts, each in a chunk of its own."""

    parts: list
    tokens: tuple = (1000, 50, 20)
    """Of the prompt, of the answer, of thoughts."""
    finish: str = "STOP"
    kept: bool = True
    """Whether the client is to have it in its history."""

    def send(self, handler, streamed):
        prompt, answer, thoughts = self.tokens
        usage = {"promptTokenCount": prompt, "candidatesTokenCount": answer, "thoughtsTokenCount": thoughts}
        if not streamed:
            content = {"role": "model", "parts": self.parts}
            handler.whole({"candidates": [{"content": content, "finishReason": self.finish}], "usageMetadata": usage})
            return
        handler.begin()
        for part in self.parts:
            handler.chunk({"candidates": [{"content": {"role": "model", "parts": [part]}}], "usageMetadata": usage})
        last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": self.finish}
        handler.chunk({"candidates": [last], "usageMetadata": usage})


@dataclass
class Fails:
    status: int
    message: str = "not now"
    retry_delay: str | None = None
    headers: dict = field(default_factory=dict)

    def send(self, handler, streamed):
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": self.retry_delay}]
        error = {"code": self.status, "message": self.message, "status": "FAILED"}
        if self.retry_delay:
            error["details"] = details
        handler.whole({"error": error}, self.status, self.headers)


@dataclass
class Raw:
    """Bytes that are no answer."""

    body: bytes

    def send(self, handler, streamed):
        handler.begin()
        handler.wfile.write(self.body)


@dataclass
class Hangs:
    """Begins and never ends: silent, or with a little more of the same line again and again."""

    part: dict | None = None
    every_s: float | None = None

    def send(self, handler, streamed):
        handler.begin()
        if self.part:
            handler.chunk({"candidates": [{"content": {"role": "model", "parts": [self.part]}}]})
        if self.every_s:
            handler.wfile.write(b"data: {")
        while not handler.server.over.wait(self.every_s or 0.05):
            if self.every_s:
                handler.wfile.write(b" ")
                handler.wfile.flush()


@dataclass
class Breaks:
    """Ends in the middle of a part."""

    def send(self, handler, streamed):
        handler.begin()
        handler.wfile.write(b'data: {"candidates": [{"content": {"parts": [{"text": "hal')


def signature(text):
    return base64.b64encode(text.encode() + b"\xfb\xff\xfe").decode()


def calls(*wanted, step):
    """Calls of tools as Gemini 3 makes them: of several at once only the first is signed."""
    parts = [
        {"functionCall": {"name": name, "args": arguments, "id": f"call-{step}-{number}"}}
        for number, (name, arguments) in enumerate(wanted)
    ]
    parts[0]["thoughtSignature"] = signature(f"step {step}")
    return Says([{"text": f"**Thinking** about step {step}", "thought": True}, *parts])


def answers(answer=(), findings=(), limits=()):
    text = json.dumps({"answer": list(answer), "findings": list(findings), "limits": list(limits)})
    half = len(text) // 2
    return Says([{"text": text[:half]}, {"text": text[half:]}, {"text": "", "thoughtSignature": signature("the end")}])


# --- the server ------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.requests = []
        self.refusals = []
        self.sent = []
        self.times = []
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def next(self, body):
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return entry(body) if callable(entry) else entry

    def responses(self, body):
        """What the tools said to the last calls."""
        return [part["functionResponse"]["response"] for part in body["contents"][-1]["parts"]]

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.server_close()


@contextlib.contextmanager
def serving(*script):
    with Server(*script) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = camel(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.times.append(time.monotonic())
        try:
            path = _PATH.fullmatch(self.path)
            must(path, f"no such path: {self.path}")
            must(self.headers.get("x-goog-api-key") == KEY, "API key not valid")
            check_request(body, self.server.sent)
        except RuleBrokenError as broken:
            self.server.refusals.append(str(broken))
            error = {"code": 400, "message": str(broken), "status": "INVALID_ARGUMENT"}
            self.whole({"error": error}, 400)
            return
        self.server.requests.append(body)
        entry = self.server.next(body)
        if isinstance(entry, Says) and entry.kept:
            self.server.sent.append(normal(entry.parts))
        with contextlib.suppress(ConnectionError):
            entry.send(self, streamed=path[2] == "streamGenerateContent")

    def whole(self, value, status=200, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, one in dict(headers).items():
            self.send_header(name, one)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def chunk(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\r\n\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


_FREE = {"args", "response", "parametersJsonSchema", "responseJsonSchema"}
"""What may have any names within."""


def camel(value):
    """A message with its fields in lowerCamelCase; their original names are as good (protobuf.dev, ProtoJSON)."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): one for name, one in value.items()}
    return {name: one if name in _FREE else camel(one) for name, one in named.items()}


# --- the rules -------------------------------------------------------------------------------------


def check_request(body, sent):
    must(set(body) <= _BODY, f"unknown names: {set(body) - _BODY}")
    must(body.get("systemInstruction", {}).get("parts", [{}])[0].get("text"), "a system instruction is text")
    check_tools(body)
    generation = body.get("generationConfig", {})
    must(set(generation) <= _GENERATION, f"unknown names: {set(generation) - _GENERATION}")
    if "responseJsonSchema" in generation:
        must(generation.get("responseMimeType") == "application/json", "a schema goes with application/json")
        check_schema(generation["responseJsonSchema"])
    check_contents(body["contents"], sent)


def check_tools(body):
    names = []
    for tool in body.get("tools", []):
        must(set(tool) == {"functionDeclarations"}, "only functions are tools here")
        for declared in tool["functionDeclarations"]:
            must(_NAME.fullmatch(declared["name"]), f"{declared['name']} is not a name")
            must(declared.get("description"), f"{declared['name']} has no description")
            must(set(declared) <= {"name", "description", "parametersJsonSchema"}, f"unknown names in {declared}")
            check_schema(declared["parametersJsonSchema"])
            must(declared["parametersJsonSchema"]["type"] == "object", "parameters are an object")
            names.append(declared["name"])
    must(len(names) == len(set(names)), "two functions have one name")
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode", "AUTO")
    must(mode in {"AUTO", "ANY", "NONE"}, f"no mode {mode}")


def check_schema(schema):
    must(set(schema) <= _SCHEMA, f"unknown names in a schema: {set(schema) - _SCHEMA}")
    must("type" in schema or "anyOf" in schema, f"a schema without a type: {schema}")
    must(set(schema.get("required", [])) <= set(schema.get("properties", {})), "required, but no property")
    children = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    for child in [*children, *([schema["items"]] if "items" in schema else [])]:
        check_schema(child)


def check_contents(contents, sent):
    must(contents and contents[0]["role"] == "user", "a conversation begins with the user")
    must(contents[-1]["role"] == "user", "the last to speak is the user")
    wanted = []
    for content in contents:
        must(set(content) == {"role", "parts"} and content["role"] in {"user", "model"}, "a content has role and parts")
        must(content["parts"], "a content without parts")
        for part in content["parts"]:
            must(len(_DATA & set(part)) == 1, f"a part is exactly one of {_DATA}")
            must(part.get("text") != "" or "thoughtSignature" in part, "must have a text parameter")
        if content["role"] == "model":
            must(not wanted, "calls without responses")
            wanted = check_model(content, sent)
        else:
            check_user(content, wanted)
            wanted = []
    must(not wanted, "calls without responses")


def check_model(content, sent):
    """What the model is said to have said is what it did say, signatures included."""
    found = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    if found:
        first = next(part for part in content["parts"] if "functionCall" in part)
        must(first.get("thoughtSignature"), "Function call is missing a thought_signature in functionCall parts.")
    must(normal(content["parts"]) in sent, f"the model never said this: {content['parts']}")
    return found


def check_user(content, wanted):
    responses = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    must(len(responses) == len(wanted), "the number of function response parts is not that of function call parts")
    must(not responses or len(responses) == len(content["parts"]), "responses and other parts in one content")
    for response, call in zip(responses, wanted, strict=True):
        must(response["name"] == call["name"], "a response to another call")
        must(response.get("id") == call.get("id"), "a response with another id")
        must(set(response["response"]) in ({"output"}, {"error"}), "a response is an output or an error")
        must(len(json.dumps(response["response"])) <= _LONGEST_RESPONSE, "a response that is too long")


def normal(parts):
    """Parts as they can be compared: without those that say nothing, signatures decoded (both alphabets will do)."""
    kept = []
    for part in map(dict, parts):
        if "thoughtSignature" in part:
            text = part["thoughtSignature"].replace("-", "+").replace("_", "/")
            part["thoughtSignature"] = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).hex()
        if part != {"text": ""}:
            kept.append(part)
    return kept
