"""The `tradewind` command: run a Dag on this machine, validate Dag files, and control Dags and runs on a cluster.

Each command is in a module of its own name, which `main` imports only when the command is used, so that `tradewind
--help` and shell completion respond at once. Commands print data to stdout and everything else to stderr.
Exit codes are a contract: 0 ok, 1 the run failed, 2 bad input (a file, an option, or a cluster that cannot be used).

main.py         the list of commands, each imported on first use
validate.py     `tradewind validate`
simulate.py     `tradewind simulate`
next.py         `tradewind next`
completion.py   `tradewind completion`
version.py      `tradewind version`
local/          `tradewind run`
cluster/        commands that use a cluster
documents.py    YAML files, with the line of every field
inputs.py       files and options, validated
dag_files.py    the Dags in files
given_runs.py   the runs that `run` and `simulate` create
connections.py  connections of a local run
variables.py    variables of a local run
output.py       tables, JSON and YAML
gantt.py        a run as a chart
colours.py      colours
streams.py      standard streams that may be closed, on a full disk or without a reader
errors.py       errors as one clear line
"""
