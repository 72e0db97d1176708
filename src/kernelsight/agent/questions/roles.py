"""What people call by its part rather than by its name: `my web server`, `the database`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.names import Name
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Step
from kernelsight.events.process import Process
from kernelsight.events.tcp import TcpListener
from kernelsight.query.filters import Filter


@dataclass(frozen=True, slots=True)
class Role:
    """A part that a program may have."""

    said: str
    words: re.Pattern[str]
    ports: Sequence[int]
    programs: Sequence[str]


def _role(said: str, words: str, ports: Sequence[int], programs: str) -> Role:
    return Role(said, re.compile(rf"\b(?:{words})\b", re.IGNORECASE), ports, programs.split())


ROLES = (
    _role("the web server", r"(?:web|http|https) ?(?:server|service|app|site|daemon)?|website|site",
          (80, 443, 8080, 8443, 8000), "nginx apache2 httpd caddy lighttpd haproxy"),
    _role("the database", r"(?:database|db)(?: server)?", (5432, 3306, 1433, 27017, 1521),
          "postgres mysqld mariadbd mongod"),
    _role("the mail server", r"mail ?(?:server|service)?", (25, 587, 465), "master exim4 dovecot"),
    _role("the DNS server", r"dns(?: server| service)?", (53,), "named unbound dnsmasq systemd-resolve"),
    _role("the SSH server", r"ssh(?: server| daemon)?", (22,), "sshd"),
)  # fmt: skip
"""Ports of services as IANA assigns them, those of HTTP in testing, and the programs that usually serve."""


def resolve(question: ParsedQuestion) -> bool:
    """Name the program that has the part which a question says; whether it says none, or one that is known.

    It listens on one of the part's ports, or is called as such programs are.
    """
    role = next((role for role in ROLES if role.words.search(question.text)), None)
    if role is None or question.names:
        return True
    resolved = _listening(question, role) or _called(question, role)
    if resolved is None:
        question.limits.append(
            f"no process of that time listens on the port of a {role.said.removeprefix('the ')} or "
            "has the name of one; ask for it by its name"
        )
        return False
    name, step = resolved
    question.names = (name,)
    question.assumed.append(step)
    return True


def _listening(question: ParsedQuestion, role: Role) -> tuple[Name, Step] | None:
    rows = question.rows(TcpListener, [Filter(TcpListener.comm, "!=", None)])
    for port in role.ports:
        own = [row for row in rows if row.port == port]
        if own:
            comm = str(own[-1].comm)
            evidence = shown_by(own[-1:], TcpListener.port, "count")
            claim = f"{role.said} is taken to be {comm}, which listens on port {port}"
            return Name("process", Process.comm, comm, comm), Step(claim, (evidence,))
    return None


def _called(question: ParsedQuestion, role: Role) -> tuple[Name, Step] | None:
    known = {str(name.value): name for name in question.known_names.all if name.kind == "process"}
    for program in role.programs:
        if program in known:
            rows = question.rows(Process, [Filter(Process.comm, "=", program)], limit=1)
            shown = (shown_by(rows, Process.rss_kb, "count"),) if rows else ()
            claim = f"{role.said} is taken to be {program}, by its name"
            return known[program], Step(claim, shown)
    return None
