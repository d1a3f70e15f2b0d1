"""A run as DagRun.status, and a run from its status.

run_status.py   writes the status of a run
node_status.py  writes and reads the entry of a task
restore.py      makes a run from its status
check.py        rejects a status that no controller wrote
size.py         shortens a status that etcd does not take
explain.py      why a task instance is in its state
"""
