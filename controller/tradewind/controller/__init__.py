"""The controller: passes events of the cluster to the engine, and writes the engine's decisions to the cluster.

leader.py      the leader's loop: events → engine → writes
term.py        the dependencies that the leader's workers share
dags/          Dags: conditions, scheduled runs, history
runs/          DagRuns: loading, status, requests
pods/          task instances as Pods: create, stop, retain, delete
kinds/         executes tasks of each kind: Pods, waits
backfills/     Backfills: their runs and status
webhook/       the admission webhook
metrics/       metrics for Prometheus
process/       the process: settings, caches and leadership, threads, probes
"""
