"""Rules that read a run and answer a question; they change nothing.

retries.py        when the next try is due
time_limits.py    timeout and queuedTimeout
outcome.py        the meaning of the end of a try
pokes.py          sensor: the meaning of the end of a poke, and when a sensor gives up
mapping.py        forEach
branches.py       branch and shortCircuit
rendering.py      what templates see, and a task with its templates filled in
previous_runs.py  dependsOnPast and waitForDownstream
run_end.py        how a run finishes
moments.py        times from clocks that need not agree
"""
