"""Inputs made to break things: what anybody may write into a Dag, a run or a termination log.

inputs.py    makes them, from what is valid by bending it, and from pieces that are known to hurt
targets.py   what they are given to: each is accepted, or refused in the way that is meant for it
play.py      tries many, in a process with a limit of time for each input and of memory for all

An input follows from its target and number alone: `python -m tests.fuzz.play dag --number 123` tries it again.
"""
