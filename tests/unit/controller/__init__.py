"""Tests of tradewind.controller."""
