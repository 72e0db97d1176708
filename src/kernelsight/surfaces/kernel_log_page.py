"""The page of the messages that are known of the kernel's log, written from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.linux.kernel_log.kinds import MessageKind


def kernel_log_page(kinds: Iterable[MessageKind]) -> Iterator[str]:
    """The lines of the page: each kind with what it means, and the messages that are of it."""
    yield from ("# What the kernel says", "")
    yield (
        "The collector `kernel_message` reads `/dev/kmsg`. A message of the kernel that is of a kind below becomes a "
        "row "
        "of `kernel_messages` with that name in `message_kind`, and with the device, process or interface that it "
        "names. "
        "Any other is `other`: such messages are counted by their prefix and level. What a program writes to the log "
        "is "
        "`user`, whatever it claims to be. Patterns are declared in `src/kernelsight/linux/kernel_log/`; each begins "
        "at "
        "the start of a message."
    )
    for kind in kinds:
        yield from ("", f"## {kind.name}", "", kind.meaning)
        if kind.lasts:
            yield from ("", "It stays so until the file system is mounted again: what was said before is read, too.")
        if kind.limited_by:
            functions = ", ".join(f"`{function}`" for function in kind.limited_by)
            yield from ("", f"`N callbacks suppressed` of {functions} counts as N of these.")
        yield from ("", "| such as | printed by |", "|---|---|")
        for pattern in kind.patterns:
            yield f"| `{_cell(pattern.example)}` | {_cell(pattern.source)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
