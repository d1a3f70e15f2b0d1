"""Tests of tradewind.api."""
