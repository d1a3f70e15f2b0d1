"""Tests without a cluster, in folders named as the packages that they test."""
