"""What a run can be and become. The transitions themselves are compare-and-sets in `shared.store`."""

from enum import StrEnum


class RunState(StrEnum):
    """A run is queued, claimed by one attempt of a worker, and ends in exactly one of three ways."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def final(self) -> bool:
        """Whether nothing comes after this state."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


class Surface(StrEnum):
    """Which HTTP surface a conversation belongs to."""

    MUSE = "muse"
    V1 = "v1"


class RecordType(StrEnum):
    """What a turn was, as the Muse API's records count it (`number`)."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    COMMAND = "command"
    SPEECH = "speech"
    TASK = "task"

    @property
    def number(self) -> int:
        """The number in the records of the Muse API, where they stand in this order."""
        return list(RecordType).index(self)
