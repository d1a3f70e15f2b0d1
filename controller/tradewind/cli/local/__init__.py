"""`tradewind run`: the engine of the controller, with local processes instead of Pods.

run.py          `tradewind run`: reads files and options, reports the result
runner.py       the loop: starts what the engine plans, reports the results
kinds/          how tasks of each kind are executed
processes.py    processes of tasks
environment.py  the environment of a task's process
volumes.py      volume mounts as folders
folder.py       the folder of a run: logs, outputs, status.yaml
locks.py        locks between local runs
watcher.py      kills the tasks of a run that was killed itself
display.py      a live table, or a line for each change
rows.py         the rows of the table
screen.py       writes to the terminal in a thread
terminal.py     settings of the terminal
hints.py        hints for people who run a Dag locally
"""
