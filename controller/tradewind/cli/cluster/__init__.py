"""Commands that speak to a cluster, with the user's own kubeconfig and rights.

dags.py             `tradewind list`
runs.py             `tradewind runs` and `status`
trigger.py          `tradewind trigger`
pause.py            `tradewind pause` and `resume`
ask.py              `tradewind rerun`, `mark` and `stop`
requests.py         writes a request into a run and waits for its result
foresee.py          --dry-run of a request
explain.py          `tradewind explain`
logs.py             `tradewind logs`
run_logs.py         the logs of all tasks of a run
pod_logs.py         which containers of a Pod have a log
backfill.py         `tradewind backfill`
backfill_create.py  `tradewind backfill create`
backfills.py        `tradewind backfill list`, `status`, `pause`, `resume` and `delete`
progress.py         a run on the cluster as rows and lines
run_versions.py     the Dag that a run uses
completions.py      names that the shell offers
client.py           calls to the cluster, with failures as one clear line
kubeconfig.py       the user's kubeconfig
transport.py        TLS and credentials
"""
