"""Dags: their conditions, the runs of their schedules, and their history.

dags.py            the Dags of the cluster: reconciles one after the other
entry.py           what is known of one Dag, and its conditions
checks.py          whether a Dag can run, found out once for each version
revisions.py       Dag specs kept as ControllerRevisions: a run keeps the one that it began with
scheduled_runs.py  creates the runs of ticks
tick_runs.py       the DagRun of a tick
failure_limits.py  maxConsecutiveFailedRuns
history.py         deletes finished runs beyond the history limits
"""
