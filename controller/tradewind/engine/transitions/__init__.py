"""Transitions: the code that changes a run.

run_lifecycle.py  a run begins, is suspended, and follows up on what has changed or come due
readiness.py      a task that waits is scheduled, skipped or expanded
expansion.py      the instances of mapped tasks
try_lifecycle.py  applies reports and the passing of time to a try
waiting.py        waits within a try: between two pokes, or without a Pod
endings.py        task instances and the run finish
counting.py       counts finished instances for the tasks downstream
grant.py          hands out slots
"""
