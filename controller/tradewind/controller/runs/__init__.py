"""DagRuns: loading them, writing their status, executing requests.

runs.py           the runs that this leader schedules
loading.py        loads them from their status and their Pods
status_writer.py  writes their status
table.py          their records, and the newest known version of each run
events.py         the interface by which the leader is notified of runs
load_queue.py     the order in which runs are loaded, and how many at once
record.py         the leader's bookkeeping of one run
run_pods.py       the Pods of a run that is being loaded
unscheduled.py    the status of runs that are not scheduled yet
status_pace.py    how often status is written
versions.py       the revision of its Dag that a run uses
previous_runs.py  finds and follows the runs before a run
requests.py       requests on runs: rerun, mark, stop
"""
