"""Tests with random inputs and orders, by hypothesis."""
