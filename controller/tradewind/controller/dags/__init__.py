"""Dags: their conditions, the runs of their schedules, and their history.

dags.py            reconciles the Dags of the cluster, one after the other
entry.py           the known state of one Dag, and its conditions
checks.py          validates each version of a Dag once
revisions.py       Dag specs kept as ControllerRevisions: a run keeps the one that it started with
scheduled_runs.py  creates the runs of ticks
tick_runs.py       the manifest of a tick's DagRun
failure_limits.py  maxConsecutiveFailedRuns
history.py         deletes finished runs beyond the history limits
"""
