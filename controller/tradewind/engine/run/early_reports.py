"""Reports on tries that a run does not know yet.

Their Pods were made by a controller that died before it wrote status. Each is kept until the run comes to that try.
"""

from tradewind.engine.run.tries import TryKey, TryReport

Instance = tuple[str, int | None]
"""(task, index)"""
Attempt = tuple[int, int]
"""(try, poke)"""


class EarlyReports:
    """The newest report on each such try."""

    def __init__(self) -> None:
        self._by_instance: dict[Instance, dict[Attempt, TryReport]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_instance)

    def keep(self, told: TryReport) -> None:
        """Keep a report, unless a newer one on the same try is known."""
        attempts = self._by_instance.setdefault((told.task, told.index), {})
        known = attempts.get((told.number, told.poke))
        if known is None or known.event.order <= told.event.order:
            attempts[told.number, told.poke] = told

    def take(self, key: TryKey) -> TryReport | None:
        """The report on a try, which the run has come to."""
        attempts = self._by_instance.get((key.task, key.index))
        if attempts is None:
            return None
        found = attempts.pop((key.number, key.poke), None)
        if not attempts:
            del self._by_instance[key.task, key.index]
        return found

    def has(self, key: TryKey) -> bool:
        """Whether there is a report on that try."""
        return (key.number, key.poke) in self._by_instance.get((key.task, key.index), ())

    def tells_of(self, task: str, index: int | None) -> bool:
        """Whether there is a report on any try of that instance, or without an index on any instance of the task."""
        return (task, index) in self._by_instance or (index is None and bool(self.indexes_of(task)))

    def later_than(self, key: TryKey) -> bool:
        """Whether there is a report on a later try, or poke, of the same instance."""
        attempts = self._by_instance.get((key.task, key.index))
        return attempts is not None and max(attempts) > (key.number, key.poke)

    def later_try_than(self, key: TryKey) -> bool:
        """Whether there is a report on a later try, not only on a later poke."""
        attempts = self._by_instance.get((key.task, key.index))
        return attempts is not None and max(attempts)[0] > key.number

    def forget(self, task: str, index: int | None) -> None:
        """The instance has ended: what was said of tries it never came to means nothing."""
        self._by_instance.pop((task, index), None)

    def forget_from(self, task: str, count: int) -> None:
        """The task has only so many instances."""
        for index in self.indexes_of(task):
            if index >= count:
                self.forget(task, index)

    def indexes_of(self, task: str) -> list[int]:
        """The instances of a mapped task that there are reports on, ascending."""
        return sorted(index for name, index in self._by_instance if name == task and index is not None)
