"""Text of others, made safe to show: names of threads, paths and interfaces may hold anything."""


def printable(text: str) -> str:
    """The text without anything that could command a terminal, turn the line round or begin a new one."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def json_escaped(lines: bytes) -> bytes:
    """Lines of JSON with what is not printable, which only their strings can hold, as JSON's own escapes."""
    text = lines.decode()
    if text.replace("\n", "").isprintable():
        return lines
    return "".join(c if c.isprintable() or c == "\n" else _utf16(c) for c in text).encode()


def _utf16(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
