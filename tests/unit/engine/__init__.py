"""Tests of tradewind.engine."""
