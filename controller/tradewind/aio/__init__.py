"""Asyncio helpers that know neither Kubernetes nor Dags.

background.py  tasks beside a loop; a task that fails is logged, counted and started again
off_loop.py    checks that may take long, in threads
turns.py       fair turns: namespaces, then Dags, then runs
"""
