"""Tests of localkube."""
