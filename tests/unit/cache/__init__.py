"""Tests of tradewind.cache."""
