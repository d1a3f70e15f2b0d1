"""Tests of tradewind.engine.kinds: what each kind of task answers."""
