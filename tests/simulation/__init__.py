"""Deterministic simulation: the real controller on an API server in memory, in virtual time, with faults by seed.

world.py           one simulation: what is in it, how it goes
loop.py            virtual time, one callback after the other
network.py         between replicas and server: delays, lost requests and answers, broken watches
replica.py         the controller's processes: killed, frozen, stopped, started again; their clocks
kubelet.py         runs the Pods by script, and knows the truth about them
dags.py            random Dags, and how their tries go
faults.py          what goes wrong, by seed
invariants.py      what must hold all the time, and in the end
failure_limits.py  Dags that are suspended when too many runs have failed
instances.py       what status says of each instance of a task

`make test-simulation SEED=123` plays one seed and prints all that happens.
"""
