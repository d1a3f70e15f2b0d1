"""Scheduling decisions, and nothing else: no I/O, no clock, no randomness.

Time comes in as an argument and actions go out as values, so the controller, `tradewind run` and the tests drive the
very same code. The cost of an event is in proportion to what it changes.

scheduler.py    all runs together: which start, which task instances get slots
past_index.py   which run comes before which
run/            a run as data: tasks, instances, slots held, timers
rules/          read a run and answer a question: retries, time limits, outcomes, forEach
trigger_rules/  when a task may start, given its upstream tasks
limits/         what keeps a ready task instance from getting slots
transitions/    change a run: a task starts, a try finishes, a branch skips
status/         a run as DagRun.status, and back
schedule/       which runs a Dag gets: ticks, Backfills, history
timetables/     the ticks of each kind of schedule
requests/       rerun, mark and stop
simulation/     runs in virtual time
"""
