"""Text of others, made safe to show: names of threads, paths and interfaces may hold anything."""


def printable(text: str) -> str:
    """The text without anything that could command a terminal, turn the line round or begin a new one."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def json_escaped(text: str) -> str:
    """JSON in one line with what is not printable, which only its strings can hold, as JSON's own escapes."""
    return "".join(c if c.isprintable() else _utf16(c) for c in text)


def _utf16(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
