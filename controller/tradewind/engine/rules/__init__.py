"""Rules that read a run and return a value; they change nothing.

retries.py        when the next try is due
time_limits.py    timeout and queuedTimeout
outcome.py        the result of a try
pokes.py          sensor: the result of a poke, and the sensor's timeout
mapping.py        forEach
branches.py       branch and shortCircuit
rendering.py      the values that templates see, and rendered tasks
previous_runs.py  dependsOnPast and waitForDownstream
run_end.py        how a run finishes
moments.py        times from clocks that may disagree
"""
