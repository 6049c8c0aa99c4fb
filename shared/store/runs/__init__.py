"""Runs, from their beginning to their end. Each transition is a compare-and-set on the run's row."""
