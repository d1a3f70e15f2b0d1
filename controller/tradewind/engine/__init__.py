"""Scheduling decisions, and nothing else: no I/O, no clock, no randomness.

Time comes in as an argument and actions go out as values, so the controller, `tradewind run` and the tests drive the
very same code. The cost of an event is in proportion to what it changes.

    scheduler.py             all runs together: which start, which task instances get slots
    run_queue.py             runs that wait for maxActiveRuns
    slots.py                 the ledger of pools
    slot_queue.py            the instances of a run that wait for slots
    ready_queue.py           the same by pool, the weightiest first
    limits/                  what keeps a ready task instance from having slots
    priority.py              priorityWeight and weightRule

    run.py                   one run: its task instances and what each event does to them
    run_info.py              what a run is, and what it says to those around it
    run_status.py            its status, written
    run_restore.py           its status, read
    run_end.py               how it has ended
    ended_run.py             what its Dag needs to know of it then
    graph.py                 tasks and edges by position
    task_node.py             one task of a run and its instances
    task_instance.py         one instance: its state and its tries
    node_status.py           a task's entry in status
    states.py                the states of task instances and runs
    status_check.py          whether a status can be what a controller wrote
    status_size.py           a status, made to fit into etcd

    start.py                 what moves a task that waits
    trigger_rules/           when a task may start, given its upstream
    counting.py              how the instances right upstream have ended
    skips.py                 branch and shortCircuit
    mapping.py               forEach
    index_map.py             numbers by index
    index_set.py             a set of indexes, as ranges
    past.py                  dependsOnPast and waitForDownstream
    past_index.py            which run comes before which
    wait_for.py              waitFor
    sensors.py               sensor
    rendering.py             what templates see, and a task with them filled in

    tries.py                 what those who run a try report of it
    try_life.py              what reports and time do to it
    known_tries.py           which tries there are in the cluster
    early_reports.py         reports on tries that a run does not know yet
    outcome.py               what the end of a try means
    retries.py               when the next try is due
    due_times.py             when many of them are
    timers.py                when a run has to be looked at again
    time_limits.py           timeout and queuedTimeout
    stuck.py                 tries that cannot start, and who is told
    moments.py               times told by clocks that need not agree
    explain.py               why a task instance is where it is
    texts.py                 cutting texts that are too long

    schedule.py              which ticks of a Dag get a run now
    timetables/              the ticks of each kind of schedule
    data_interval.py         the data interval of a manual run
    backfill.py              which runs a Backfill makes, and how far it is
    history.py               which finished runs are too many
    consecutive_failures.py  maxConsecutiveFailedRuns
    requests/                what people ask of a run: rerun, mark, stop
    simulation/              runs in virtual time, for people who want to know beforehand
"""
