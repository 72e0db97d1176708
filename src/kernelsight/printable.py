"""Text of others, made safe to show: names of threads, paths and interfaces may hold anything."""


def printable(text: str) -> str:
    """The text without anything that could command a terminal, turn the line round or begin a new one."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
