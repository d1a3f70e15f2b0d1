"""Tests of tradewind.cli."""
