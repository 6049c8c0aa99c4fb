"""Names of conversations, until a person or a model gives a better one."""

LENGTH = 20


def cut_title(query: str) -> str:
    """The first 20 characters of `query` on one line, with an ellipsis where it was longer."""
    line = " ".join(query.split())
    return line if len(line) <= LENGTH else line[:LENGTH] + "…"
