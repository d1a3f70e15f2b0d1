"""Commands that use a cluster, with the user's own kubeconfig and permissions.

list.py             `tradewind list`
trigger.py          `tradewind trigger`
runs.py             `tradewind runs`
status.py           `tradewind status`
explain.py          `tradewind explain`
logs.py             `tradewind logs`
rerun.py            `tradewind rerun`
mark.py             `tradewind mark`
stop.py             `tradewind stop`
pause.py            `tradewind pause`
resume.py           `tradewind resume`
backfill/           `tradewind backfill` and its commands
request_command.py  shared by rerun, mark and stop: options, and sending a request
requests.py         writes a request into a run and waits for its result
dry_run.py          --dry-run of a request
suspend.py          shared by pause and resume
run_logs.py         the logs of all tasks of a run
pod_logs.py         which containers of a Pod have a log
progress.py         a run on the cluster as rows and lines
run_revision.py     the Dag that a run uses
completions.py      names for shell completion
client.py           calls to the API server, with failures as one clear line
kubeconfig.py       the user's kubeconfig
transport.py        TLS and credentials
"""
