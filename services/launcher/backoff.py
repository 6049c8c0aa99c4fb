"""How long a part that died waits before it is started again."""

from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 15.0
HEALTHY_SECONDS = 30.0


@dataclass
class Backoff:
    """Doubles from death to death; a part that lived long enough begins anew."""

    next_seconds: float = FIRST_SECONDS

    def delay_after(self, lived_seconds: float) -> float:
        """Seconds to wait after the part had lived so long."""
        if lived_seconds >= HEALTHY_SECONDS:
            self.next_seconds = FIRST_SECONDS
        delay = self.next_seconds
        self.next_seconds = min(delay * 2, LONGEST_SECONDS)
        return delay
