"""The same tests on the API server in memory and on a real one."""
