"""A run's directory: where its files lie, what they hold, and what a run says."""
