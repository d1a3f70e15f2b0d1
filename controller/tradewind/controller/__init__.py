"""The controller: what happens in the cluster goes into the engine, what the engine wants is written to the cluster.

process.py           the process: start, stop, what runs in which thread
settings.py          options of `tradewind controller`, and environment variables
controller.py        caches that are always warm, and leadership that comes and goes
leader.py            the leader's loop: events → engine → writes
background.py        what the leader does beside its loop
load_queue.py        which runs are loaded next, and how many at once

cluster.py           informers, and what is looked up in them
resources.py         our kinds, and what informers keep of them
scopes.py            a namespace, or all of them, with all that is watched there
watches.py           the watches of one kind in one scope
object_watches.py    watches of objects that tasks wait for, shared
conditions.py        conditions with the time of their last change

dags.py              Dags: their conditions, scheduled runs, history
dag_entry.py         what is worked out about one Dag
dag_checks.py        whether a Dag can run, found out once for each version
off_loop.py          checks that may take long, beside the event loop
scheduled_runs.py    makes the runs of ticks
tick_runs.py         the DagRun of a tick
failure_limits.py    maxConsecutiveFailedRuns
history.py           which finished runs are deleted
ended_runs.py        finished runs, which are not watched
backfills/           Backfills: their runs, whose turn it is, status
revisions.py         Dag specs kept as ControllerRevisions

runs.py              DagRuns: loading them, writing their status
run_versions.py      which revision of its Dag a run goes by
run_pods.py          the Pods of a run that is being loaded
run_record.py        what is kept of a run beside the run itself
unscheduled_runs.py  the status of runs that are not scheduled yet
status_pace.py       how often status is written
requests.py          requests on runs: rerun, mark, stop
past.py              the runs before a run
waits/               waitFor: runs and objects that tasks wait for

tries.py             tries: making and stopping Pods, reading results
pods/                a task as a Pod, and a Pod as a report
render_process.py    templates that take long, in a process of their own
turns.py             whose Pod is made next
quotas.py            namespaces whose quota is full
pod_ends.py          Pods that are told to end
leftovers.py         Pods whose run is not scheduled any more
retention.py         podRetention
finalizers.py        `tradewind release-finalizers`
pools.py             how many slots of each Pool are used

admission.py         the webhook: which objects are refused
authorization.py     whether a user may create Pods
reviews.py           the webhook's server
webhook_tls.py       the certificate that it shows
certificates.py      the certificate that the controller makes itself

endpoints.py         /metrics, /healthz and /readyz
metrics.py           Prometheus metrics
mirror.py            the state of the cluster as metrics
logs.py              log output, as text or JSON
heap.py              what the garbage collector looks through
side_thread.py       the thread of election, probes, metrics and watchdog
watchdog.py          how long the event loop is held, and by what
"""
