"""Runs of Dags in virtual time: the scheduler itself, with tries that go as a script says.

outcomes.py          what a user writes about how tries go, checked
virtual_cluster.py   "runs" the tries that the scheduler starts
simulation.py        the loop, and what came of it
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
