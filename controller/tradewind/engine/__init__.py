"""Scheduling decisions, and nothing else: no I/O, no clock, no randomness.

Time is an argument and actions are return values, so the controller, `tradewind run` and the tests drive the same code.
The cost of an event is proportional to what it changes.

scheduler.py    all runs together: which runs start, which task instances get slots
past_index.py   the previous run of each run
run/            a run as data: tasks, instances, slots held, timers
rules/          read a run and answer a question: retries, time limits, outcomes, forEach
kinds/          what each kind of task decides: what starts it, what its end means
trigger_rules/  when a task may start, given its upstream tasks
limits/         the limits that keep a ready task instance from getting slots
transitions/    change a run: a task starts, a try finishes, a branch skips
status/         a run as DagRun.status, and back
schedule/       which runs a Dag gets: ticks, Backfills, history
timetables/     the ticks of each kind of schedule
requests/       rerun, mark and stop
simulation/     runs in virtual time
"""
