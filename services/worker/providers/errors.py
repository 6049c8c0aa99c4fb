"""How a call to a provider fails.

Each protocol maps what its vendor says to these in one place, and the run's lifecycle turns them into a `failed`
event. Only a call that yielded nothing may be made again (`retry`).
"""

from shared.domain.errors import ErrorCode


class ProviderError(Exception):
    """A call to a provider failed.

    Args:
        code: what it means for the client.
        message: what the vendor said and what to do, without secrets.
        retryable: whether the same call may succeed in a moment.
        retry_after: seconds that the vendor asked us to wait.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
