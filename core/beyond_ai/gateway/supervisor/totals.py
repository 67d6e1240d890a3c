"""What the processes of a gateway counted, live and ended ones, so that no counter goes back when one of them ends."""

from collections import Counter
from collections.abc import Mapping, Sequence

from beyond_ai.gateway.metric_cells import Key, Sum, counters

Events = Mapping[tuple[str, str], int]


class Totals:
    """The counts of workers that have ended."""

    def __init__(self) -> None:
        self._ended: dict[Key, float] = {}
        self._events: Counter[tuple[str, str]] = Counter()
        self.restarts = 0
        """workers that were started in place of one that ended"""

    def bury(self, names: Sequence[Key], row: Sequence[float], events: Events) -> None:
        """Keep what a worker had counted when it ended: its ROW, whose cells hold NAMES, and its plugins' EVENTS."""
        for key, value in counters(names, row):
            self._ended[key] = self._ended.get(key, 0.0) + value
        self._events.update(events)

    def sum(self) -> Sum:
        """What ended workers counted, for live ones to be added to."""
        return Sum(self._ended)

    def events(self) -> Counter[tuple[str, str]]:
        """The same of plugins' events."""
        return self._events.copy()
