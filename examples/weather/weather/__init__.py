"""Four years of Seattle's weather: the code behind the tasks of ../dag.yaml.

Each step reads and writes files in the current directory, the folder that all tasks share, and returns a few facts.
"""
