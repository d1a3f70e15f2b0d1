"""Transitions: the code that changes a run.

run_lifecycle.py  a run starts, is suspended, and processes changes and due timers
readiness.py      a waiting task is scheduled, skipped or expanded
expansion.py      the instances of mapped tasks
try_lifecycle.py  applies reports and timers to a try
waiting.py        waits within a try: between two pokes, or without a Pod
endings.py        task instances and the run finish
counting.py       counts finished instances for the downstream tasks
grant.py          grants slots
"""
