"""Performance measurements: `make bench`. docs/performance.md has the results."""
