"""The tradewind.dev/v1alpha1 API: models, defaults, validation and the CRDs generated from them.

The only place that says what a Dag, DagRun, Pool or Backfill may look like. The CRDs, the admission webhook, the
controller and the CLI all use these models, so a bad Dag gets the same message everywhere. Nothing here
performs I/O or looks at the clock.

model.py             the base of every model
meta.py              the parts of Kubernetes' own object model
dag.py               the Dag
task.py              a task of a Dag
task_group.py        a group of tasks
sensor.py            `sensor` and `waitFor`
mapping.py           `forEach`
short_circuit.py     `shortCircuit`
schedule.py          `schedule` and `schedules`
cron.py              cron expressions and presets
duration.py          durations
conditions.py        conditions with the time of their last change
times.py             RFC 3339 times
dagrun.py            the DagRun
run_request.py       requests on a run
task_status.py       the status of a task
backfill.py          the Backfill
pool.py              the Pool
resolved.py          a Dag with every default filled in: its shape
resolve.py           the same: how it is made
groups.py            dependencies between tasks, with groups replaced by their tasks
revision.py          the fields that runs depend on, and their hash
templates.py         templates
template_tags.py     the tags of a template
template_filters.py  filters for dates, JSON and base64
variables.py         variables in templates
connections.py       connections
json_path.py         simple JSON paths
pod_fields.py        the fields that a podTemplate may have
shards.py            which controller handles which namespace
names.py             labels, annotations and other names that programs rely on
reasons/             every reason of conditions, tasks and Events: its meaning and the fix
crd.py               the CRDs
validation/          whether an object can be used, and what to change
"""

GROUP = "tradewind.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
