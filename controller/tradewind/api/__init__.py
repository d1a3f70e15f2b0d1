"""The tradewind.dev/v1alpha1 API: models, defaults, validation, and the CRDs generated from them.

The single definition of Dag, DagRun, Pool and Backfill. The CRDs, the admission webhook, the controller and the CLI all
use these models, so an invalid Dag gets the same message everywhere. Nothing here performs I/O or reads the clock.

model.py             the base class of every model
meta.py              parts of Kubernetes' object model
dag.py               the Dag
task.py              a task of a Dag
task_group.py        a group of tasks
kinds.py             the kinds of task: their fields and facts
sensor.py            `sensor` and `waitFor`
mapping.py           `forEach`
short_circuit.py     `shortCircuit`
schedule.py          `schedule` and `schedules`
cron.py              cron expressions and presets
duration.py          durations
conditions.py        conditions and the time of their last transition
times.py             RFC 3339 times
dagrun.py            the DagRun
run_request.py       requests on a run
task_status.py       the status of a task
backfill.py          the Backfill
pool.py              the Pool
resolved.py          a Dag with all defaults: its types
resolve.py           a Dag with all defaults: how it is built
groups.py            dependencies between tasks, with groups replaced by their tasks
revision.py          the fields that runs depend on, and their hash
templates.py         templates
template_tags.py     the tags of a template
template_filters.py  filters for dates, JSON and base64
variables.py         variables in templates
connections.py       connections
json_path.py         simple JSON paths
pod_fields.py        the fields that a podTemplate may have
shards.py            the shard that handles a namespace
ownership.py         owner references and labels of what belongs to a Dag or a DagRun
names.py             labels, annotations and other names that programs rely on
reasons/             every reason of conditions, tasks and Events: its meaning and the fix
crd.py               the CRDs
validation/          checks of objects, with the fix for each problem
"""

GROUP = "tradewind.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
