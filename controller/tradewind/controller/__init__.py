"""The controller: events of the cluster go into the engine, the engine's decisions are written to the cluster.

controller.py  caches that are always warm, and leadership that comes and goes
leader.py      the leader's loop: events → engine → writes
term.py        what all workers of one term of leadership share
metrics.py     Prometheus metrics: what the controller does, counted as it happens
mirror.py      Prometheus metrics: the state of the cluster, counted when somebody asks
settings.py    options of `tradewind controller` and environment variables
logs.py        log output, as text or JSON
dags/          Dags: conditions, scheduled runs, history
runs/          DagRuns: loading, status, requests
pods/          task instances as Pods: create, end, keep, delete
waits/         waitFor: runs and objects that tasks wait for
backfills/     Backfills: their runs and status
webhook/       the admission webhook
process/       the process: start, stop, threads, probes
"""
