"""DagRuns: loading them, writing their status, carrying out requests.

runs.py           the runs that are scheduled here
loading.py        loads them from their status and their Pods
status_writer.py  writes their status
table.py          their records, and the newest that is known of a run
events.py         what becomes of runs, told to others
load_queue.py     which runs are loaded next, and how many at once
record.py         what is kept of a run beside the run itself
run_pods.py       the Pods of a run that is being loaded
unscheduled.py    the status of runs that are not scheduled yet
status_pace.py    how often status is written
versions.py       the revision of its Dag that a run uses
previous_runs.py  finds and follows the runs before a run
requests.py       requests on runs: rerun, mark, stop
"""
