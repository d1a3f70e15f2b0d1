"""Reports about tries that a run has not reached yet.

A controller created their Pods and stopped before it wrote status. Each report is kept until the run reaches that try.
"""

from tradewind.engine.run.tries import TryKey, TryReport

Instance = tuple[str, int | None]
"""(task, index)"""
Attempt = tuple[int, int]
"""(try, poke)"""


class EarlyReports:
    """The newest report about each such try."""

    def __init__(self) -> None:
        self._by_instance: dict[Instance, dict[Attempt, TryReport]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_instance)

    def keep(self, report: TryReport) -> None:
        """Keep a report, unless a newer one about the same try is known."""
        attempts = self._by_instance.setdefault((report.task, report.index), {})
        known = attempts.get((report.number, report.poke))
        if known is None or known.event.order <= report.event.order:
            attempts[report.number, report.poke] = report

    def take(self, key: TryKey) -> TryReport | None:
        """Remove and return the report about a try that the run has reached."""
        attempts = self._by_instance.get((key.task, key.index))
        if attempts is None:
            return None
        found = attempts.pop((key.number, key.poke), None)
        if not attempts:
            del self._by_instance[key.task, key.index]
        return found

    def has(self, key: TryKey) -> bool:
        """True if there is a report about that try."""
        return (key.number, key.poke) in self._by_instance.get((key.task, key.index), ())

    def has_any(self, task: str, index: int | None) -> bool:
        """True if there is a report about any try of the instance; without an index, of any instance of the task."""
        return (task, index) in self._by_instance or (index is None and bool(self.indexes_of(task)))

    def later_than(self, key: TryKey) -> bool:
        """True if there is a report about a later try, or poke, of the same instance."""
        attempts = self._by_instance.get((key.task, key.index))
        return attempts is not None and max(attempts) > (key.number, key.poke)

    def later_try_than(self, key: TryKey) -> bool:
        """True if there is a report about a later try, not only about a later poke."""
        attempts = self._by_instance.get((key.task, key.index))
        return attempts is not None and max(attempts)[0] > key.number

    def forget(self, task: str, index: int | None) -> None:
        """Drop the reports about an instance that has finished: it will not reach those tries."""
        self._by_instance.pop((task, index), None)

    def forget_from(self, task: str, count: int) -> None:
        """Drop the reports about instances from index `count` on: the task does not have them."""
        for index in self.indexes_of(task):
            if index >= count:
                self.forget(task, index)

    def indexes_of(self, task: str) -> list[int]:
        """The indexes of a mapped task's instances with reports, ascending."""
        return sorted(index for name, index in self._by_instance if name == task and index is not None)
