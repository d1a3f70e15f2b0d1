"""Scheduling decisions, and nothing else: no I/O, no clock, no randomness.

Time comes in as an argument and actions go out as values, so the controller, `tradewind run` and the tests drive the
very same code. The cost of an event is in proportion to what it changes.

    scheduler.py     all runs together: which start, which task instances get slots
    run.py           one run: its task instances and what each event does to them
    task_instance.py one task of a run, and its entry in status
    trigger_rules/   when a task may start, given its upstream
    outcome.py       what the end of a try means
    time_limits.py   timeout and queuedTimeout
    stuck.py         tries that cannot start, and who is told
    slots.py         the ledger of pools
    ready_queue.py   tasks that wait for slots
    retries.py       when the next try is due
    timetables/      the ticks of each kind of schedule
    schedule.py      which ticks of a Dag get a run now
    backfill.py      which runs a Backfill makes, and how far it is
    history.py       which finished runs are too many
    rendering.py     what templates see, and a task with them filled in
    graph.py         tasks and edges by position
    simulation/      runs in virtual time, for people who want to know beforehand
"""
