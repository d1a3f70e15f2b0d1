"""Tests on real clusters of which parts are killed, slowed down or full."""
