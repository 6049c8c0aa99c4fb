"""How secrets are shown: masked, so that people know which one it is and nobody can use it."""

SHOWN = 4
SHORTEST_SHOWN = 16
"""Characters that a secret must have to be shown in part."""
HIDDEN = "***"
ELLIPSIS = "..."


def mask(secret: str) -> str:
    """A secret as it may be shown: `sk-...wxyz`, `***` where it is short, "" where there is none.

    A mask's mask is itself.
    """
    if not secret or is_mask(secret):
        return secret
    if len(secret) < SHORTEST_SHOWN:
        return HIDDEN
    return f"{secret[: SHOWN - 1]}{ELLIPSIS}{secret[-SHOWN:]}"


def is_mask(text: str) -> bool:
    """Whether a text is what `mask` gives."""
    return text == HIDDEN or (len(text) == 2 * SHOWN - 1 + len(ELLIPSIS) and text[SHOWN - 1 : -SHOWN] == ELLIPSIS)
