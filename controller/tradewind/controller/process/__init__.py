"""The process: start and stop, threads, probes and metrics pages.

process.py      `tradewind controller`: starts and stops everything
settings.py     options of `tradewind controller` and environment variables
controller.py   caches, election and, while elected, a Leader
side_thread.py  the thread of election, probes, metrics and watchdog
watchdog.py     measures how long the event loop is held, and by which object
heap.py         limits the work of the garbage collector
endpoints.py    /metrics, /healthz and /readyz
finalizers.py   `tradewind release-finalizers`
"""
