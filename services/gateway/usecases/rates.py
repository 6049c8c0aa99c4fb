"""Who may ask how often: the app's limits for each of its keys and users, else the gateway's."""

import math
from collections.abc import Iterator

from shared.bus.rates import Full, RateLimits, Window
from shared.config import GatewaySettings
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord


class Rates:
    """Refuses who asks too often.

    Args:
        limits: count requests, those of all gateways.
        settings: what holds for apps that decide nothing. A limit of 0 is none.
    """

    def __init__(self, limits: RateLimits, settings: GatewaySettings) -> None:
        self._limits = limits
        self._settings = settings

    def take(self, app: AppRecord, user: str, key: str | None) -> None:
        """Count a request; one that is refused counts nowhere.

        Args:
            app: whose limits hold.
            user: who asks.
            key: prefix of the app's key that was sent; None where none was.

        Raises:
            HeliconError: RATE_LIMITED; EVENTS_UNAVAILABLE, Redis is away and there is a limit to be kept.
        """
        self._take(list(self._windows(app, user, key)))

    def take_admin(self, key: str) -> None:
        """Count a request of an administrator, whatever it is; `key` is the prefix of theirs.

        Raises:
            HeliconError: as `take`.
        """
        if self._settings.rate_per_admin_key:
            self._take([Window("admin key", key, self._settings.rate_per_admin_key)])

    def _take(self, windows: list[Window]) -> None:
        full = self._limits.take(windows) if windows else []
        if full:
            raise self._refusal(full)

    def _windows(self, app: AppRecord, user: str, key: str | None) -> Iterator[Window]:
        per_user = _first(app.settings.rate_per_user, self._settings.rate_per_user)
        per_key = _first(app.settings.rate_per_key, self._settings.rate_per_key)
        if per_user:
            yield Window("user", f"{app.id}/{user}", per_user)
        if per_key and key is not None:
            yield Window("key", key, per_key)

    def _refusal(self, full: list[Full]) -> HeliconError:
        last = max(full, key=lambda one: one.wait)
        wait = max(1, math.ceil(last.wait))
        return HeliconError(
            ErrorCode.RATE_LIMITED,
            f"Too many requests of this {last.window.kind}: at most {last.window.requests} within "
            f"{self._settings.rate_seconds} s. Try again in {wait} s.",
            retry_after=wait,
        )


def _first(chosen: int | None, default: int) -> int:
    return default if chosen is None else chosen
