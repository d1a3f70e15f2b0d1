"""Conversion of a run to DagRun.status and back.

run_status.py   writes the status of a run
node_status.py  writes and reads the entry of a task
restore.py      makes a run from its status
run_facts.py    the facts about a run, from its DagRun
check.py        rejects a status that no controller wrote
size.py         shortens a status that is too large for etcd
explain.py      why a task instance is in its state
"""
