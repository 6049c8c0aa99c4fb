"""How a call to a provider fails.

`failures` maps what the vendors and the network say to these in one place, and the run's lifecycle turns them into a
`failed` event. Only a call that yielded nothing may be made again (`retry`).
"""

from shared.domain.errors import ErrorCode, HeliconError


class ProviderError(HeliconError):
    """A call to a provider failed.

    Args:
        code: what it means for the client.
        message: what the vendor said and what to do, without secrets.
        retryable: whether the same call may succeed in a moment.
        retry_after: seconds that the vendor asked us to wait.
        at_once: whether the connection was closed before anything was answered, as it happens when the vendor gives
            up a kept connection while we send. Once more at once; but the call may have been processed.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        at_once: bool = False,
    ) -> None:
        super().__init__(code, message, retry_after=retry_after)
        self.retryable = retryable
        self.at_once = at_once
