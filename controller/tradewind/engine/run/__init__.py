"""A run as data: its tasks and instances, its slots and timers.

state.py          one run: its task instances and what each event does to them
run_info.py       the identity of a run, and its requests to the caller
graph.py          tasks and edges by position
priority.py       priorityWeight and weightRule
states.py         the states of task instances and runs
task_node.py      one task of a run and its instances
task_instance.py  one instance: its state and its tries
tries.py          reports on tries
known_tries.py    which tries have a Pod in the cluster
early_reports.py  reports about tries that a run has not reached yet
upstream.py       how the instances of upstream tasks finished, counted
index_map.py      numbers by index
index_set.py      a set of indexes, as ranges
due_times.py      when many instances are due
timers.py         when a run must be requeued
slots.py          the ledger of pools
slot_queue.py     the instances of a run that wait for slots
ready_queue.py    the tasks of a run that wait for slots, by pool
stuck.py          tries that cannot start: their reason in messages and Events
texts.py          shortens long texts
json_size.py      the size of JSON in the API server
"""
