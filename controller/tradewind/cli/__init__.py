"""The `tradewind` command: run a Dag on this machine, check Dag files, and steer Dags and runs on a cluster.

Each command lives in a module of its own, which `main` imports only when the command is used, so that `tradewind
--help` and shell completion answer at once. Commands print data on stdout and everything else on stderr.
Exit codes are a contract: 0 ok, 1 the run failed, 2 bad input (a file, an option, or a cluster that cannot be used).

main.py         the commands, loaded when they are used
validate.py     `tradewind validate`
simulate.py     `tradewind simulate`
next.py         `tradewind next`
completion.py   `tradewind completion`
version.py      `tradewind version`
local/          `tradewind run`
cluster/        commands that need a cluster
documents.py    YAML files, with the line of every field
inputs.py       files and options, checked
dag_files.py    the Dags in files
given_runs.py   the runs that `run` and `simulate` make
connections.py  connections of a local run
variables.py    variables of a local run
output.py       tables, JSON and YAML
gantt.py        a run as a chart
colours.py      colours
streams.py      standard streams that may be closed, full or narrow
errors.py       failures as one clear line
"""
