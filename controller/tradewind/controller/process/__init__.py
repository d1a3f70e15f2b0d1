"""The process: start and stop, threads, settings, probes and metrics pages.

process.py      `tradewind controller`: starts and stops everything
settings.py     options and environment variables
side_thread.py  the thread of election, probes, metrics and watchdog
watchdog.py     measures how long the event loop is held, and by which object
heap.py         limits the work of the garbage collector
endpoints.py    /metrics, /healthz and /readyz
mirror.py       the state of the cluster as metrics
logs.py         log output, as text or JSON
finalizers.py   `tradewind release-finalizers`
"""
