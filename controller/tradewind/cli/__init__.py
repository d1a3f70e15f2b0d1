"""The `tradewind` command: run a Dag on this machine, check Dag files, and steer Dags and runs on a cluster.

Each command lives in a module of its own, which `main` imports only when the command is used, so that `tradewind
--help` and shell completion answer at once. Commands print data on stdout and everything else on stderr.
Exit codes are a contract: 0 ok, 1 the run failed, 2 bad input (a file, an option, or a cluster that cannot be used).
"""
