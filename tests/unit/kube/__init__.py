"""Tests of tradewind.kube."""
