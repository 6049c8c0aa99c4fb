"""The names of Helicon's keys and channels in Redis."""

from uuid import UUID

STOPS = "helicon:stops"
"""Channel on which every worker hears which runs to stop."""

CHANGES = "helicon:changes"
"""Channel on which every process hears that the live configuration was changed."""

WORKERS = "helicon:workers"
"""A key that lives while a worker does."""

OPEN_RUNS = "helicon:open"
"""A hash of the runs whose last event has not been said, by id: their attempts."""

SINCE = "helicon:since"
"""When Redis was first seen with what it holds now, Unix seconds: it lost what was said before."""

KEEPER = "helicon:keeper"
"""A lock: the worker that looks after the others' runs now."""

RATES = "helicon:rate"
"""What the keys of rate limits begin with."""


def events_stream(run: UUID) -> str:
    """Stream of a run's events, for whoever comes late."""
    return f"helicon:events:{run}"


def events_channel(run: UUID) -> str:
    """Channel of a run's events, for whoever listens now."""
    return f"helicon:live:{run}"


def lease(run: UUID, attempt: int) -> str:
    """Key that lives while a worker executes this attempt of the run."""
    return f"helicon:lease:{run}:{attempt}"


def stop_flag(run: UUID) -> str:
    """Key that tells a worker, which may not have heard the message, that the run is to be stopped."""
    return f"helicon:stop:{run}"


def told_models(provider: str) -> str:
    """Key of the models that a provider says it has, a JSON list."""
    return f"helicon:models:{provider}"
