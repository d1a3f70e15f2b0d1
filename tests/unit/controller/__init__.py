"""Tests of tradewind.controller and tradewind.cache."""
