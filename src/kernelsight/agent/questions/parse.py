"""From the text of a question to a question taken apart; each of its words must be accounted for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kernelsight.agent.questions.names import Name, Names
from kernelsight.agent.questions.question import Context, ParsedQuestion
from kernelsight.agent.questions.subjects import by_full_name, is_particular, phrases, subjects_in
from kernelsight.agent.questions.times import SpokenTimes
from kernelsight.agent.questions.vocabulary import COMMON, WORD, is_known, misspelled, plain_word
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_POSSESSIVE = re.compile(r"['’](?:s|re|ve|ll|d|m)?\b", re.IGNORECASE)  # noqa: RUF001 - as people type it
_NUMBER = re.compile(r"^[-+]?\d+(?:[.,]\d+)?(?:%|[a-z]{0,3})$", re.IGNORECASE)
_PERCENTILE = re.compile(r"^p\d{1,2}(?:\.\d+)?$", re.IGNORECASE)
_AS_WORD = {"device": "disk", "interface": "interface", "mount": "mount"}
_FALLS = re.compile(r"\bdrop\w*(?=\s+(?:below|under|to|from|by)\b)", re.IGNORECASE)
"""What falls is not what is dropped."""
_FULL_NAME = re.compile(r"^[a-z_]+\.[a-z0-9_]+$")


def parse_question(
    reader: Reader, said: SpokenTimes, when: TimeRange, before: Context | None
) -> tuple[ParsedQuestion, list[str]]:
    """The question, and the words of it that mean nothing here.

    Args:
        reader: of the store.
        said: the question with its times taken out.
        when: the time that it is about.
        before: what it goes on from.
    """
    names = Names(reader, when)
    text, corrections = _corrected(said.rest, names)
    named = _without_words(names.said_in(text), text)
    left = [word for word in _words(_FALLS.sub(" ", text)) if not _is_name(word, named)]
    plain = [part for word in _words(_FALLS.sub(" ", text)) for part in _meant(word, named)]
    subjects = subjects_in(plain)
    full = by_full_name(text)
    question = ParsedQuestion(
        reader,
        text,
        " ".join(plain),
        when,
        names,
        full or next(iter(subjects), None) or (before.subject if before else None),
        names=tuple(named) or (before.names if before else ()),
        ranges=said.ranges,
        before=before,
    )
    unknown = [word for word in left if not _is_accounted_for(word)]
    question.readings = corrections
    if full is None and re.search(r"\b(?:and|or)\b|,", question.text, re.IGNORECASE):
        question.subjects = tuple(dict.fromkeys(subject for subject in subjects if is_particular(subject)))
    return question, unknown


def _corrected(text: str, names: Names) -> tuple[str, list[str]]:
    """The text with its misspelled words mended, and how each was read."""
    said = {str(name.value).lower() for name in names.said_in(text)}
    readings = []
    for word in _words(text):
        if word.lower() in said or _is_accounted_for(word):
            continue
        meant = misspelled(word, names.texts())
        if meant is not None:
            text = re.sub(rf"\b{re.escape(word)}\b", lambda _, meant=meant: meant, text)  # type: ignore[misc]
            readings.append(f"“{word}” is read as “{meant}”")
    return text, readings


def _words(text: str) -> list[str]:
    text = _POSSESSIVE.sub("", text.replace("?", " ").replace("!", " "))
    return [word for raw in WORD.findall(text) if (word := raw.strip(".:,-+") or (raw if raw == "/" else ""))]


def _meant(word: str, named: Sequence[Name]) -> list[str]:
    """What a word says in its plain form; of the name of a disk, an interface or a mount, that it is one."""
    name = next((name for name in named if _is_name(word, [name])), None)
    if name is None:
        return _parts(word)
    return [_AS_WORD[name.kind]] if name.kind in _AS_WORD else []


def _parts(word: str) -> list[str]:
    """A word in its plain form; one that is joined of several, each of them."""
    if is_known(word) or "." in word or word.startswith("/"):
        return [plain_word(word)]
    return [plain_word(part) for part in re.split(r"[-_/]", word) if part]


def _is_accounted_for(word: str) -> bool:
    if _NUMBER.match(word) or _PERCENTILE.match(word) or is_known(word):
        return True
    if _FULL_NAME.match(word) and by_full_name(word):
        return True
    parts = [part for part in re.split(r"[-_/]", word) if part]
    return len(parts) > 1 and all(part.isalpha() and is_known(part) for part in parts)


def _is_name(word: str, named: Sequence[Name]) -> bool:
    lower = word.lower()
    return any(
        lower == str(name.value).lower()
        or (name.kind == "process" and lower[:15] == str(name.value).lower()[:15])
        or (name.kind == "mount" and lower.rstrip("/") == str(name.value).lower().rstrip("/"))
        or (name.kind == "cgroup" and lower == str(name.value).rstrip("/").rpartition("/")[2].lower())
        or (name.kind == "cgroup" and lower == str(name.value).rstrip("/").rpartition("/")[2].lower().partition(".")[0])
        for name in named
    )


def _without_words(named: list[Name], text: str) -> list[Name]:
    """Names that are no words of what the question is about: a program called `load` is not meant by `the load`."""
    words = [plain_word(word) for word in _words(text)]
    if len({name.said for name in named}) < 1:
        return named
    about = {word for phrase in phrases() for word in phrase}
    kept = [name for name in named if plain_word(str(name.value)) not in about]
    others = [word for word in words if word in about]
    if len(others) > len(named) - len(kept):
        # Of what it is about something is left when these are names.
        kept = [name for name in named if plain_word(str(name.value)) not in about or _stands_as_name(name, text)]
    else:
        kept = [name for name in named if str(name.value).lower() not in COMMON and _keeps(name, kept, about, text)]
    processes = [name for name in kept if name.kind == "process"]
    groups = [name for name in kept if name.kind == "cgroup"]
    if (
        processes
        and groups
        and not re.search(r"\b(?:cgroup|container|group|service|slice|pod)s?\b", text, re.IGNORECASE)
    ):
        kept = [name for name in kept if name.kind != "cgroup"]
    elif processes and groups:
        kept = [name for name in kept if name.kind != "process"]
    return kept


def _stands_as_name(name: Name, text: str) -> bool:
    """`did cache use`, `of load`, `process disk`, or in quotation marks."""
    own = re.escape(str(name.value))
    return re.search(
        rf"(?i)\b(?:did|does|was|is|of|by|process|program)\s+{own}\b(?!\s+(?:high|low|full|usage|error))|[\"'“‘`]{own}",  # noqa: RUF001
        text,
    ) is not None  # fmt: skip


def _keeps(name: Name, others: Sequence[Name], about: set[str], text: str) -> bool:
    return name in others or plain_word(str(name.value)) not in about or _stands_as_name(name, text)
