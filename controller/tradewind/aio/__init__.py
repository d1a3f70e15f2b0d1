"""Asyncio helpers that know neither Kubernetes nor Dags.

background.py  background tasks; a task that fails is logged, counted and restarted
off_loop.py    long checks in threads
fair_queue.py  a fair queue: namespaces, then Dags, then runs
"""
