"""The controller: events of the cluster go into the engine, the engine's decisions are written to the cluster.

leader.py      the leader's loop: events → engine → writes
term.py        what all workers of one term of leadership share
dags/          Dags: conditions, scheduled runs, history
runs/          DagRuns: loading, status, requests
pods/          task instances as Pods: create, end, keep, delete
kinds/         who carries out tasks of each kind: Pods, waits
backfills/     Backfills: their runs and status
webhook/       the admission webhook
metrics/       metrics for Prometheus
process/       the process: settings, caches and leadership, threads, probes
"""
