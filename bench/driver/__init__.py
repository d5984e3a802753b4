"""The driver of the benchmarks: standard library only, so that it runs where nothing is installed."""
