"""Rules that read a run and return a value; they change nothing.

retries.py        when the next try is due
time_limits.py    timeout, queuedTimeout and sensor.timeout
outcome.py        the result of a try
mapping.py        forEach
branches.py       branch and shortCircuit
rendering.py      the values that templates see, and rendered tasks
previous_runs.py  dependsOnPast and waitForDownstream
run_end.py        how a run finishes
moments.py        times from clocks that may disagree
"""
