"""What a row of the specification is to the tests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirement:
    """A rule that a test can keep.

    `id` names it in `@pytest.mark.requirement(...)`, `says` tells it in short, `pending` is the number of the issue
    that brings it; None: a test keeps it now.
    """

    id: str
    says: str
    pending: int | None = None
