"""How fast and how small Tradewind is, measured: `make bench`. docs/performance.md tells what was found."""
