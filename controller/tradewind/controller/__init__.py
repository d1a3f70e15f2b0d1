"""The controller: what happens in the cluster goes into the engine, what the engine wants is written to the cluster.

process.py       the process: settings, kopf, start and stop
controller.py    the loop: events → engine → writes
cluster.py       informers, and what is looked up in them
dags.py          Dags: condition Accepted, scheduled runs, history
runs.py          DagRuns: loading, pinning to a revision, status
pools.py         Pools: how many of their slots are used
backfills/       Backfills: their runs, whose turn it is, status
tries.py         tries: making and stopping Pods, reading results from them
pods/            a task as a Pod, and a Pod as a report
revisions.py     Dag specs kept as ControllerRevisions
webhook.py       admission
metrics.py       Prometheus
"""
