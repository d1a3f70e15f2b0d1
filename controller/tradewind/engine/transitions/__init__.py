"""Transitions: the code that changes a run.

start.py     moves tasks that wait: schedules, skips, expands them
try_life.py  applies reports and the passing of time to a try
counting.py  counts finished instances for the tasks downstream
sensors.py   sensor
wait_for.py  waitFor
"""
