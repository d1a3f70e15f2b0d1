"""Tradewind runs Airflow-style Dags as a Kubernetes operator. Each layer imports only those below it.

cli/         the `tradewind` command
controller/  the controller
cache/       caches of the cluster, for any process that reads it
kube/        Kubernetes for controllers
engine/      scheduling decisions, without I/O
aio/         asyncio helpers
logs.py      log output of a process, as text or JSON
api/         the resources: models, validation, CRDs
"""
