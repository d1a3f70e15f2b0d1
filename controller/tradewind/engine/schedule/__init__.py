"""The runs that a Dag gets.

due.py                   the ticks of a Dag that get a run now
data_interval.py         the data interval of a manual run
run_queue.py             runs waiting for maxActiveRuns
backfill.py              the runs of a Backfill, and its progress
history.py               the finished runs that exceed the history limits
consecutive_failures.py  maxConsecutiveFailedRuns
finished_run.py          the facts about a finished run that its Dag needs
"""
