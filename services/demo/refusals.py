"""Why the demo upstream refuses a call, and how often it has to. How a refusal looks is the protocols' business."""

from enum import Enum
from typing import Any

from pydantic import ValidationError

from services.demo.faults import Faults

MOST_COUNTED = 10_000


class Reason(Enum):
    """Why a call is refused."""

    BAD_REQUEST = "bad request"
    WRONG_KEY = "wrong key"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model not found"
    UNKNOWN_PATH = "unknown path"
    CONTEXT_TOO_LONG = "context too long"
    TOO_LARGE = "too large"
    TOO_MANY = "too many requests"
    BROKEN = "broken"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer here, not an error
    """A call that gets an error for an answer."""

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class ScriptedRefusal(Exception):  # noqa: N818 - as above
    """A refusal whose status and error a script wrote out; `error` is a message or a vendor's error object."""

    def __init__(self, status: int, error: str | dict[str, Any], *, retry_after: float | None = None) -> None:
        super().__init__(f"scripted status {status}")
        self.retry_after = retry_after
        self.status = status
        self.error = error


class CallCounts:
    """How often each model was called with each key, so that the first calls can be refused."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], int] = {}

    def check(self, model: str, key: str, faults: Faults) -> None:
        """Count this call.

        Raises:
            Refusal: it is one of those that the model's name wants refused.
        """
        if not faults.too_many and not faults.broken:
            return
        calls = self._calls.pop((model, key), 0)
        self._calls[model, key] = calls + 1
        if len(self._calls) > MOST_COUNTED:
            del self._calls[next(iter(self._calls))]
        refuse(faults, calls)

    def clear(self) -> None:
        """Begin to count anew."""
        self._calls.clear()


def refuse(faults: Faults, calls: int) -> None:
    """Refuse the call that follows `calls` others, if the faults want it.

    Raises:
        Refusal: they do.
    """
    if calls < faults.too_many:
        words = f"Demo rate limit: call {calls + 1} of this model is refused."
        raise Refusal(Reason.TOO_MANY, words, retry_after=faults.retry_after)
    if calls < faults.too_many + faults.broken:
        words = f"Demo failure: call {calls + 1} of this model is refused."
        raise Refusal(Reason.BROKEN, words, retry_after=faults.retry_after)


def first_fault(error: ValidationError) -> str:
    """What is wrong with a body, and where; nothing of its content."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in fault["loc"])
    return f"{fault['msg']} (at {where})." if where else f"{fault['msg']}."
