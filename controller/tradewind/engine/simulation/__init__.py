"""Simulated runs of Dags in virtual time: the real scheduler, with scripted tries.

outcomes.py          reads and checks the outcomes of tries that a user writes
virtual_cluster.py   "runs" the tries that the scheduler starts
simulation.py        the loop and its results
"""

from tradewind.engine.simulation.outcomes import OutcomeProblem, Outcomes, ScriptedTry, read_outcomes
from tradewind.engine.simulation.simulation import DagToRun, SimulatedRun, SimulatedTry, simulate

__all__ = [
    "DagToRun",
    "OutcomeProblem",
    "Outcomes",
    "ScriptedTry",
    "SimulatedRun",
    "SimulatedTry",
    "read_outcomes",
    "simulate",
]
